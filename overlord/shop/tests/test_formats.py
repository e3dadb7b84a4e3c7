"""Money and times as texts for people."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.utils import translation

from overlord.shop import formats


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        ("15.00", "EUR", "€15.00"),
        ("1500.00", "EUR", "€1,500.00"),
        ("980", "JPY", "¥980"),
        ("1.234", "KWD", "KWD\N{NO-BREAK SPACE}1.234"),
        ("15.50", "RSD", "RSD\N{NO-BREAK SPACE}15.50"),
    ],
)
def test_money_is_written_with_all_its_digits(amount: str, currency: str, written: str) -> None:
    assert formats.money(amount, currency) == written


def test_a_written_text_is_cached_for_its_language_and_zone_only(settings: Any) -> None:
    instant = datetime(2027, 1, 8, 19, 30, tzinfo=UTC)
    written = [formats.date_time(instant)]
    with translation.override("en-gb"):
        written.append(formats.date_time(instant))
    settings.TIME_ZONE = "Asia/Tokyo"
    written.append(formats.date_time(instant))
    written.append(formats.date_time(instant, "Europe/Berlin"))
    assert len(set(written)) == 4
    settings.TIME_ZONE = "UTC"
    assert formats.date_time(instant) == written[0]
