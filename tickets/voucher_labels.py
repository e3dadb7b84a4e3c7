"""The words for a voucher's effect and state, in the active language."""

from datetime import datetime
from typing import Protocol

from django.utils.translation import gettext as _

from overlord.kernel import money
from overlord.shop import formats
from tickets import voucher_rules
from tickets.availability_labels import Label
from tickets.models import Reservation, Voucher
from tickets.voucher_rules import PriceRule, VoucherState


class Giving(Protocol):
    """The fields of a voucher that decide its words."""

    @property
    def price_rule(self) -> str: ...
    @property
    def price_value(self) -> int: ...
    @property
    def opens_early(self) -> bool: ...


def gives(voucher: Giving, *, currency: str) -> str:
    """Return the effect of a voucher in words: "10% off, presale"."""
    price = _price(voucher, currency)
    presale = _("presale") if voucher.opens_early else ""
    return ", ".join(filter(None, (price, presale))) or _("chosen ticket types")


def used(reservation: Reservation) -> str:
    """Return a reservation's code and discount in words: "code SPRING: €1.50 off each ticket"; "" for no code."""
    if reservation.voucher is None:
        return ""
    known = {"code": reservation.voucher.text}
    if not reservation.discount_minor:
        return _("code %(code)s") % known
    discount = money.to_text(reservation.discount_minor, reservation.currency)
    known["off"] = formats.money(discount, reservation.currency)
    return _("code %(code)s: %(off)s off each ticket") % known


def _price(voucher: Giving, currency: str) -> str:
    if voucher.price_rule == PriceRule.PERCENT:
        return _("%(percent)s off") % {"percent": formats.percent(voucher.price_value / 100)}
    if voucher.price_rule == PriceRule.UNCHANGED:
        return ""
    amount = formats.money(money.to_text(voucher.price_value, currency), currency)
    if voucher.price_rule == PriceRule.LESS:
        return _("%(amount)s off each ticket") % {"amount": amount}
    return _("each ticket for %(amount)s") % {"amount": amount}


def state(voucher: Voucher, *, now: datetime) -> Label:
    """Return the label that says whether a voucher can be used at `now`."""
    deciding = ("ended_at", "valid_from", "valid_until", "most_uses", "used")
    found = voucher_rules.state_of(now=now, **{name: getattr(voucher, name) for name in deciding})
    return {
        VoucherState.VALID: Label(tone="open", text=_("Can be used")),
        VoucherState.NOT_YET: Label(tone="upcoming", text=_("Not valid yet")),
        VoucherState.USED_UP: Label(tone="sold-out", text=_("Used up")),
        VoucherState.ENDED: Label(tone="ended", text=_("Ended")),
    }[found]
