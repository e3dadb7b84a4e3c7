"""The public halves of keys, which each process keeps, so that a scan asks PostgreSQL once.

Used from every thread of the door, outside of transactions. What must stay true: the event and the public half of a
key never change, and no other key gets its id. Whether a key is retired can change, so it is not kept here.
"""

from dataclasses import dataclass
from functools import lru_cache

from tickets.admission import selectors

CAPACITY = 1_000  # keys, of one event each


class _UnknownError(LookupError):
    """There is no such key now; there may be one later."""


@dataclass(frozen=True, kw_only=True)
class KnownKey:
    """What never changes of a key."""

    event: int
    public: bytes


def known_key(key_id: int) -> KnownKey | None:
    """Return a key by its id; None for an unknown one."""
    try:
        return _read(key_id)
    except _UnknownError:
        return None


@lru_cache(maxsize=CAPACITY)  # which keeps no exception
def _read(key_id: int) -> KnownKey:
    row = selectors.key_row(key_id=key_id)
    if row is None:
        raise _UnknownError
    return KnownKey(event=row["event_id"], public=bytes(row["public_key"]))


def forget() -> None:
    """Forget all keys, as where rows are gone whose ids may come again."""
    _read.cache_clear()
