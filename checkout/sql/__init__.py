"""The app's SQL, where the ORM has no equivalent. The functions of migrations are in files beside this one."""

WEBHOOK_NOTE = (
    "INSERT INTO checkout_webhookevent (gateway, event_id, received) VALUES (%(gateway)s, %(event_id)s, %(now)s)"
    " ON CONFLICT DO NOTHING RETURNING id"
)
INCIDENT_OPEN = (
    "INSERT INTO checkout_incident (cause, payment_id, detail, created)"
    " VALUES (%(cause)s, %(payment)s, %(detail)s, %(now)s) ON CONFLICT DO NOTHING RETURNING id"
)
