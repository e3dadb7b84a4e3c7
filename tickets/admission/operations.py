"""Steps of a ticket's life inside an open transaction, for this app's services and for checkout.

Tickets themselves are made and revoked by the trigger of `sql/admission_reservation_changed.sql`. Locks: a ticket
comes after its reservation, and whoever holds a ticket waits for nothing but tickets.
"""

from datetime import datetime

from django.db.models import Q

from overlord.kernel import db
from tickets.admission import keys, sql
from tickets.admission.models import Key, Ticket
from tickets.admission.rules import TicketState


def key_make(*, event_id: int, now: datetime) -> Key:
    """Make a new key for the codes of an event. Codes that other keys signed stay good."""
    db.transaction_required()
    salt = keys.salt_draw()
    return Key.objects.create(event_id=event_id, salt=salt, public_key=keys.public_key(salt), created=now)


def keys_retire(*, event_id: int, now: datetime) -> int:
    """Let the codes that an event's present keys signed open nothing any more; count the keys."""
    db.transaction_required()
    return Key.objects.filter(event_id=event_id, retired_at=None).update(retired_at=now)


def tickets_revoke(*, order_id: int, now: datetime) -> int:
    """Revoke the tickets of an order whose whole money went back, and count them."""
    db.transaction_required()
    of_order = Q(reservation_id=order_id) | Q(reservation__lead_id=order_id)
    standing = Ticket.objects.filter(of_order).exclude(state=TicketState.REVOKED)
    return standing.update(state=TicketState.REVOKED, revoked_at=now, changed=sql.CHANGED_NOW)
