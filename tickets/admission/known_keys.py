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
    """The parts of a key that never change."""

    event: int
    public: bytes


def known_key(key_id: int) -> KnownKey | None:
    """Return a key by its id; None for an unknown one."""
    try:
        return _read(key_id)
    except _UnknownError:
        return None


@lru_cache(maxsize=CAPACITY)  # it keeps no exception, so an unknown key is read again
def _read(key_id: int) -> KnownKey:
    row = selectors.key_row(key_id=key_id)
    if row is None:
        raise _UnknownError
    return KnownKey(event=row["event_id"], public=bytes(row["public_key"]))


def forget() -> None:
    """Forget all keys. Tests need it after they deleted rows whose ids come again."""
    _read.cache_clear()
