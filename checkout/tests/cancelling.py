"""Many paid orders, and workers that die while they refund them."""

import os
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from django.db import connection

from checkout import services
from checkout.gateways import ledger
from checkout.models import Refund
from checkout.tests.paying import lapse
from overlord.kernel import db
from tickets.models import TicketType

MADE = """
WITH guests AS (
    INSERT INTO accounts_user (username, password, is_guest, contact_email, contact_name, email, first_name,
                               last_name, is_superuser, is_staff, is_active, date_joined, login_epoch)
    SELECT 'guest-many-' || n, '!', true, 'guest' || n || '@example.org', '', '', '', '', false, false, true,
           now(), 0
      FROM generate_series(1, %(orders)s) n RETURNING id
), held AS (
    INSERT INTO tickets_reservation (buyer_id, ticket_type_id, quantity, unit_price_minor, currency, state, created,
                                     expires_at, paying_since, version)
    SELECT id, %(type)s, 1, 1500, 'EUR', 'held', now(), now() + interval '1 hour', now(), 1 FROM guests
    RETURNING id, buyer_id
), paid AS (
    INSERT INTO checkout_payment (buyer_id, reservation_id, status, amount_minor, refunded_minor, currency, error,
                                  gateway, gateway_reference, gateway_nonce, gateway_token, try_number, attempts,
                                  created, version)
    SELECT buyer_id, id, 'SUCCESS', 1500, 0, 'EUR', '', 'sandbox', 'pi_many_' || id, 'n', '', 1, 1, now(), 1
      FROM held
    RETURNING id, reservation_id, gateway_reference
)
INSERT INTO sandbox.intents (id, payment, amount, currency, token, outcome)
SELECT gateway_reference, id, 1500, 'EUR', 'ok', 'succeeded' FROM paid
"""


def many_paid(ticket_type: TicketType, *, orders: int) -> None:
    """Make a number of paid orders of one ticket, each of another guest, like those of the use cases."""
    with ledger.opened():
        pass  # the ledger makes its tables
    db.rows(MADE, {"orders": orders, "type": ticket_type.pk})
    db.rows(
        "UPDATE tickets_reservation SET state = 'validated', validated_at = now() WHERE ticket_type_id = %s",
        [ticket_type.pk],
    )
    db.rows(
        "UPDATE tickets_inventory SET sold = %s, revenue_minor = %s WHERE ticket_type_id = %s",
        [orders, orders * 1500, ticket_type.pk],
    )


def go_on() -> int:
    """Do one round of the workers, and return how many refunds were processed."""
    services.cancellations_go_on()
    waiting = list(Refund.objects.exclude(next_look_at=None).values_list("pk", flat=True))
    for pk in waiting:
        services.refund_process(refund_id=pk)
    return len(waiting)


def die_at(owner: Any, function: str, *, nth: int, before: bool) -> None:
    """Do what the workers do, in a process that is killed before or after the nth call of a function."""
    child = os.fork()
    if child == 0:
        # The parent's connection is open in both processes, so the child forgets it without closing it.
        connection.connection = None
        ledger.forget()
        original: Callable[..., Any] = getattr(owner, function)
        calls = [0]

        def call(*args: Any, **kwargs: Any) -> Any:
            calls[0] += 1
            if before and calls[0] == nth:
                os._exit(9)
            result = original(*args, **kwargs)
            if calls[0] == nth:
                os._exit(9)
            return result

        try:
            with patch.object(owner, function, call):
                go_on()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    lapse()
