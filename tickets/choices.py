"""A buyer's choice on an event's page: how many tickets of each type. It is read from a form or an address.

Each ticket type has its own field: `amount_7` is the number of tickets of the type with the id 7. A choice of one
type may also be written as `ticket_type` and `amount`.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from overlord.kernel.numbers import LARGEST_ID, whole_number
from tickets import rules

FIELD = re.compile(r"amount_([0-9]{1,19})")
MOST_FIELDS = 200  # the most that are read; all others are left out


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How many tickets of each type are chosen. `malformed` has the types whose field is not a valid number."""

    amounts: dict[int, int] = field(default_factory=dict)
    malformed: list[int] = field(default_factory=list)

    @property
    def is_valid(self) -> bool:
        return bool(self.amounts) and not self.malformed

    @property
    def types(self) -> list[int]:
        return [*self.amounts, *self.malformed]

    def as_query(self) -> str:
        """Return the choice as the query of the event's page, which shows this choice again."""
        return urlencode({f"amount_{ticket_type}": amount for ticket_type, amount in self.amounts.items()})

    def digest(self) -> str:
        """Return a short text that is the same only for equal choices."""
        return hashlib.blake2b(repr(sorted(self.amounts.items())).encode(), digest_size=12).hexdigest()


def read(data: Mapping[str, str]) -> Choice:
    """Return the choice in the fields of a form or a query. Fields that are empty or 0 choose nothing.

    But with `ticket_type`, an `amount` that is missing, empty or 0 is malformed.
    """
    choice = Choice()
    for ticket_type, written in _written(data):
        if written.strip() in ("", "0"):
            continue
        try:
            amount = whole_number(written.strip(), least=1, most=rules.LARGEST_AMOUNT)
            choice.amounts[whole_number(ticket_type, least=1, most=LARGEST_ID)] = amount
        except ValueError:
            if ticket_type.isascii() and ticket_type.isdecimal() and int(ticket_type[:19]) <= LARGEST_ID:
                choice.malformed.append(int(ticket_type[:19]))
    return choice


def _written(data: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the ticket types and the numbers of tickets, as they are written.

    "none" stands for an `amount` that is missing, empty or 0, so that `read` takes it as malformed.
    """
    for name in list(data)[:MOST_FIELDS]:
        if found := FIELD.fullmatch(name):
            yield found[1], data[name]
    if "ticket_type" in data:
        amount = data.get("amount", "")
        yield data["ticket_type"], "none" if amount.strip() in ("", "0") else amount
