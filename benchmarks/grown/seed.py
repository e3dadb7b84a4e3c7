"""Fill the database of a system."""

from benchmarks import sale
from benchmarks.grown.sizes import BEGIN, EACH, Size
from overlord.kernel import db, postgres_wait
from stats import operations

# Rows are inserted in the order in which a system makes them. Of ten reservations one is held, six are paid, two
# have expired and one was released.
_STEPS = (
    "SET statement_timeout = 0",
    # Every row that a foreign key names is made here; checking each would double the time.
    "SET session_replication_role = replica",
    """
INSERT INTO tickets_event (id, name, date, time_zone, currency, description, version)
SELECT n, 'Concert ' || n, %(begin)s + n * interval '1 minute', 'UTC', 'EUR', '', 1
  FROM generate_series(1, %(events)s) n
""",
    """
INSERT INTO tickets_tickettype (id, event_id, name, price_minor, max_per_user)
SELECT 2 * n - k, n, CASE k WHEN 1 THEN 'Regular' ELSE 'VIP' END, 1500, 10
  FROM generate_series(1, %(events)s) n, generate_series(0, 1) k
 WHERE k = 1 OR n %% 2 = 0 ORDER BY n, k DESC
""",
    """
INSERT INTO tickets_reservation (buyer_id, ticket_type_id, quantity, unit_price_minor, currency, state, created,
                                 expires_at,
                                 validated_at, ended_at, version)
SELECT 1 + (n - 1) / %(each)s, 2 * event - 1 + (1 - event %% 2) * (n / %(events)s %% 2), 1, 1500, 'EUR', state, at,
       CASE state WHEN 'held' THEN now() + interval '1 hour' + n * interval '0.1 s' ELSE at + interval '900 s' END,
       CASE state WHEN 'validated' THEN at + interval '60 s' END,
       CASE WHEN state IN ('expired', 'released') THEN at + interval '900 s' END, 1
  FROM generate_series(1, %(reservations)s) n,
       LATERAL (SELECT 1 + (n - 1) %% %(events)s, now() - (100000 + %(reservations)s - n) * interval '1 s',
                       CASE n %% 10 WHEN 0 THEN 'held' WHEN 1 THEN 'released' WHEN 2 THEN 'expired'
                                    WHEN 3 THEN 'expired' ELSE 'validated' END) r (event, at, state)
""",
    """
INSERT INTO tickets_inventory (ticket_type_id, capacity, held, sold, closes_at, paused, version, reservations,
                               reserved_tickets, reservations_paid, reservations_expired, payments_failed,
                               revenue_minor)
SELECT t.id, 100000, COALESCE(r.held, 0), COALESCE(r.sold, 0), e.date, false, 1, COALESCE(r.made, 0),
       COALESCE(r.made, 0), COALESCE(r.sold, 0), COALESCE(r.expired, 0), 0, COALESCE(r.sold, 0) * 1500
  FROM tickets_tickettype t JOIN tickets_event e ON e.id = t.event_id
  LEFT JOIN (SELECT ticket_type_id, count(*) AS made, count(*) FILTER (WHERE state = 'held') AS held,
                    count(*) FILTER (WHERE state = 'validated') AS sold,
                    count(*) FILTER (WHERE state = 'expired') AS expired
               FROM tickets_reservation GROUP BY 1) r ON r.ticket_type_id = t.id
 ORDER BY t.id
""",
    "UPDATE accounts_user SET is_staff = true, is_superuser = true WHERE id = %(staff)s",
    "SET session_replication_role = origin",
    "VACUUM ANALYZE",
    "CHECKPOINT",
)


def main(events: int, reservations: int) -> None:
    """Make so many events and reservations, with buyers, ticket types and inventories."""
    size = Size("", events, reservations)
    db.rows(_STEPS[0])
    sale.buyers_make(size.staff)
    values = {
        "begin": BEGIN,
        "each": EACH,
        "staff": size.staff,
        "events": events,
        "reservations": reservations,
    }
    with postgres_wait.patience():
        for step in _STEPS:
            db.rows(step, values)
        _rank()
        sale.check()


def _rank() -> None:
    """Compare the ranks of all events, as upkeep does a few at a time."""
    with db.transaction():
        reading = operations.reading_lock()
        operations.events_rank(reading=reading)
        while reading.ranked_to:
            operations.events_rank(reading=reading)
    db.rows("VACUUM ANALYZE stats_eventrank")
