"""The app's SQL, where it is clearer or quicker than the ORM.

The functions are made by migrations; their files here say what they are now.
"""

from django.db.models import BigIntegerField, Func

# What `Ticket.changed` is set to with each change of a ticket.
CHANGED_NOW = Func(
    function="pg_current_xact_id", template="%(function)s()::text::bigint", output_field=BigIntegerField()
)
