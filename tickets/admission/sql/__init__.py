"""The app's SQL, where it is clearer or quicker than the ORM.

Statements are read from files at import. Migrations make the functions; their files here have the present text.
"""

from pathlib import Path

from django.db.models import BigIntegerField, CharField, Func

from overlord.kernel.db import columns
from tickets.admission.models import Key

_FOLDER = Path(__file__).parent

# The value of `Ticket.changed` after each change of a ticket.
CHANGED_NOW = Func(
    function="pg_current_xact_id", template="%(function)s()::text::bigint", output_field=BigIntegerField()
)

NEW_SERIAL = Func(function="admission_serial", output_field=CharField())

# One statement decides an admission, so that no gate keeps a ticket locked while it waits for the network.
SCAN_ANSWER = (
    "SELECT * FROM admission_scan_answer(%(scan_id)s, %(ticket)s, %(issue)s, %(key)s, %(serial)s, %(event)s,"
    " %(gate)s, %(actor)s, %(at)s, %(now)s, %(unchecked)s)"
)
KEY = "SELECT event_id, public_key FROM admission_key WHERE id = %s"
TICKETS_OF_ORDER = (_FOLDER / "tickets_of_order.sql").read_text()
TICKETS_LIVE = (_FOLDER / "tickets_live.sql").read_text()
DOOR_LIST = (_FOLDER / "door_list.sql").read_text()
DOOR_STATE = (_FOLDER / "door_state.sql").read_text()

KEYS_OF_EVENT = f"SELECT {columns(Key, of='k')} FROM admission_key k WHERE k.event_id = %s ORDER BY k.id DESC"  # noqa: S608
LINK_NUMBER = "SELECT number FROM admission_orderlink WHERE reservation_id = %s"

# A link without a row has the number 1. Each renewal counts, even two at the same time.
LINK_RENEW = """
INSERT INTO admission_orderlink AS link (reservation_id, number) VALUES (%s, 2)
ON CONFLICT (reservation_id) DO UPDATE SET number = link.number + 1 RETURNING number
"""
