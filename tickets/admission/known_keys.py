"""The keys that sign tickets. Each process keeps their public halves, so that a scan does not read them again.

Any thread can use this module, outside of transactions. Two things must stay true: the event and the public half of
a key never change, and the id of a key is never given to another key. A key may be retired later, so nothing here
says whether a key is retired.
"""

from dataclasses import dataclass
from functools import lru_cache

from tickets.admission import selectors

KEPT = 1_000  # keys, of one event each


class _UnknownError(LookupError):
    """There is no such key now, but there may be one later."""


@dataclass(frozen=True, kw_only=True)
class KnownKey:
    """The parts of a key that never change."""

    event: int
    public: bytes


def known_key(key_id: int) -> KnownKey | None:
    """Return the key with this id, or None if there is none."""
    try:
        return _read(key_id)
    except _UnknownError:
        return None


@lru_cache(maxsize=KEPT)  # exceptions are not kept, so an unknown key is read again
def _read(key_id: int) -> KnownKey:
    row = selectors.key_row(key_id=key_id)
    if row is None:
        raise _UnknownError
    return KnownKey(event=row["event_id"], public=bytes(row["public_key"]))


def forget() -> None:
    """Forget all keys. Tests need this after they delete rows, because new rows get the same ids."""
    _read.cache_clear()
