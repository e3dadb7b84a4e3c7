"""Read the vouchers of an event, which pages call codes, for the pages of staff.

The pages show what each code gives, whether it can be used, and what was sold with it.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db.models import F, Q, QuerySet, Sum

from overlord.box_office.attendees import Echo, cell
from overlord.kernel import money
from overlord.shop import searches
from overlord.shop.paging import Page, page_of
from tickets import voucher_labels
from tickets.models import Event, Reservation, Voucher

ON_A_PAGE = 100
READ_AT_ONCE = 1_000
COLUMNS = ("code", "note", "gives", "state", "used", "limit", "sold", "sold_for", "discount", "currency")


def page(*, event: Event, search: str, number: int, now: datetime) -> Page:
    """Return a page of the codes of an event, the newest first, each as `shown` returns it."""
    found = page_of(_found(event, search).order_by("-pk"), number=number, most=ON_A_PAGE)
    return replace(found, rows=_shown(event, found.rows, now=now))


def shown(*, event: Event, voucher: Voucher, now: datetime) -> dict[str, Any]:
    """Return a dict with `voucher`, `gives` (a text), `label`, `sold`, `sold_for` and `discount`.

    `sold` is the number of sold tickets. `sold_for` and `discount` are decimal strings.
    """
    return _shown(event, [voucher], now=now)[0]


def _found(event: Event, search: str) -> QuerySet[Voucher]:
    vouchers = Voucher.objects.filter(event=event)
    for word in searches.words(search):
        vouchers = vouchers.filter(Q(text__icontains=word) | Q(note__icontains=word))
    return vouchers


def _shown(event: Event, vouchers: Sequence[Voucher], *, now: datetime) -> list[dict[str, Any]]:
    """Return a dict for each voucher, as `shown` does. One query reads the sales of all."""
    paid = Reservation.objects.filter(voucher__in=vouchers, state=Reservation.State.VALIDATED)
    sums = (
        paid.order_by()
        .values("voucher_id")
        .annotate(
            sold=Sum("quantity"),
            sold_for=Sum(F("quantity") * F("unit_price_minor")),
            discount=Sum(F("quantity") * F("discount_minor")),
        )
    )
    sales = {row["voucher_id"]: row for row in sums}
    nothing = {"sold": 0, "sold_for": 0, "discount": 0}
    found = []
    for each in vouchers:
        sold = sales.get(each.pk, nothing)
        found.append(
            {
                "voucher": each,
                "gives": voucher_labels.gives(each, currency=event.currency),
                "label": voucher_labels.state(each, now=now),
                "sold": sold["sold"],
                "sold_for": money.to_text(sold["sold_for"], event.currency),
                "discount": money.to_text(sold["discount"], event.currency),
            }
        )
    return found


def csv_lines(*, event: Event, search: str, now: datetime) -> Iterator[str]:
    """Yield a CSV file of codes, line by line. Its byte order mark lets spreadsheet programs read it as UTF-8."""
    writer = csv.writer(Echo())
    yield "\ufeff" + writer.writerow(COLUMNS)
    last = 0
    while part := list(_found(event, search).filter(pk__gt=last).order_by("pk")[:READ_AT_ONCE]):
        for row in _shown(event, part, now=now):
            yield writer.writerow([cell(text) for text in _cells(row, event.currency)])
        last = part[-1].pk


def _cells(row: dict[str, Any], currency: str) -> list[str]:
    voucher: Voucher = row["voucher"]
    limit = "" if voucher.most_uses is None else str(voucher.most_uses)
    return [
        voucher.text,
        voucher.note,
        row["gives"],
        row["label"].text,
        str(voucher.used),
        limit,
        str(row["sold"]),
        row["sold_for"],
        row["discount"],
        currency,
    ]
