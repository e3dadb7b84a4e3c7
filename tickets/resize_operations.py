"""Change how many tickets a hold has, inside an open transaction. Locks are taken in the order of `operations`."""

from dataclasses import replace
from datetime import datetime
from functools import partial

from django.db.models import F, Sum
from django.db.models.functions import Coalesce

from overlord.kernel import db
from overlord.kernel.steps import step_log_after_commit
from tickets import operations, projections, rules, sql, voucher_rules, voucher_selectors
from tickets.models import Reservation, TicketType
from tickets.representation import Figures
from tickets.rules import ReservationState


def reservation_resize(*, reservation: Reservation, quantity: int, now: datetime) -> bool:
    """Change the quantity of a locked hold; return False if the inventory refuses more tickets.

    It refuses them if too few are left, or if the sale is not open to the buyer (`sql/inventory_step.sql`).
    Raise the errors of `rules.check_resizable`. For more tickets, also raise OverLimit, the errors of
    `_voucher_step`, or UnknownTicketType if the type is hidden from the buyer.
    """
    rules.check_resizable(
        state=reservation.state,
        ended_at=reservation.ended_at,
        expires_at=reservation.expires_at,
        unit_price_minor=reservation.unit_price_minor,
        quantity=quantity,
        now=now,
    )
    step = quantity - reservation.quantity
    if step == 0:
        return True
    if step > 0:
        _check_limit(reservation, quantity)
    early = reservation.voucher_id is not None and _voucher_step(reservation, step)
    changed = db.rows(
        sql.INVENTORY_STEP, {"ticket_type": reservation.ticket_type_id, "step": step, "early": early}
    )
    if not changed:
        return False
    if step > 0:
        _check_shown(reservation)
    Reservation.objects.filter(pk=reservation.pk).update(
        quantity=quantity,
        quantity_claimed=Coalesce("quantity_claimed", "quantity"),
        version=F("version") + 1,
    )
    step_log_after_commit("reservation_resized", reservation=reservation.pk, quantity=quantity)
    figures = [(row["event"], Figures.from_row(row)) for row in changed]
    db.after_commit(partial(projections.announce, figures=figures, buyers=[reservation.buyer_id], now=now))
    return True


def _check_limit(reservation: Reservation, quantity: int) -> None:
    """Raise OverLimit if the buyer would have too many tickets, together with those that are paid for already.

    No other claim of the buyer can come in between: a buyer has one live reservation of a type, and it is locked.
    """
    paid = Reservation.objects.filter(
        buyer_id=reservation.buyer_id,
        ticket_type_id=reservation.ticket_type_id,
        state=ReservationState.VALIDATED,
    ).aggregate(tickets=Sum("quantity", default=0))["tickets"]
    limit = reservation.ticket_type.max_per_user
    if paid + quantity > limit:
        raise rules.OverLimit(max_per_user=limit)


def _check_shown(reservation: Reservation) -> None:
    """Raise UnknownTicketType if the type is hidden, unless the hold's voucher covers it.

    An edit locks the inventory before it hides the type. So this is read after the inventory was locked here.
    """
    if not TicketType.objects.filter(pk=reservation.ticket_type_id, hidden=True).exists():
        return
    voucher = (
        voucher_selectors.facts_of(voucher_id=reservation.voucher_id) if reservation.voucher_id else None
    )
    if voucher is None or reservation.ticket_type_id not in voucher.covers:
        raise rules.UnknownTicketType()


def _voucher_step(reservation: Reservation, step: int) -> bool:
    """Lock the voucher of a locked hold, and return whether it opens its types early.

    Raise CodeEnded, CodeChanged or CodeUsedUp unless it can be used for `step` more tickets at the hold's price.
    """
    operations.vouchers_lock([reservation])
    facts = voucher_selectors.facts_of(voucher_id=int(reservation.voucher_id or 0))
    if step > 0:
        facts = voucher_rules.check_usable(facts)
        voucher_rules.check_unchanged(
            facts,
            ticket_type=reservation.ticket_type_id,
            unit_price_minor=reservation.unit_price_minor,
            discount_minor=reservation.discount_minor or 0,
        )
        # Uses that due holds have not given back yet still count as used.
        voucher_rules.check_left(replace(facts, due_holds=()), quantity=step)
    return facts is not None and facts.opens_early
