"""The streams: their names, who may watch them, and where their state is read.

A stream is named by its kind, and by an id where there are many of the kind: "event.12", "me.7", "events".
Domain apps register their kinds in `AppConfig.ready`; this app knows none of them by itself.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Access = Literal["public", "owner", "staff"]
Projection = Callable[[Collection[int]], Mapping[int, Any]]

INTERVAL = 0.1  # seconds between two updates of a stream
REFRESH = {"public": 3.0, "owner": 12.0, "staff": 12.0}  # seconds after which nobody's word is trusted
ALONE = 0  # under which the projection of a kind without ids gives its state


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is known of all streams of one kind."""

    access: Access
    project: Projection
    interval: float = INTERVAL
    refresh: float = REFRESH["public"]


_kinds: dict[str, Kind] = {}


def register(
    kind: str,
    *,
    access: Access,
    project: Projection,
    interval: float = INTERVAL,
    refresh: float | None = None,
) -> None:
    """Will make a kind of stream known. `owner` means that the stream's id is the id of its only viewer.

    `project(ids)` gives the whole present state by id, as plain data that JSON can hold (datetimes too).
    An id that it leaves out does not exist. It runs in the drain's transaction: it reads, opens none, and
    gives nothing but `rendering.CLOCK_MEMBERS` that changes with the clock alone, or the stream is sent again
    each time it is marked. A kind without ids is asked with none and answers {ALONE: state}.
    It is sent, and with an interval above INTERVAL also read, at most once in `interval` seconds; while it has
    viewers it is read anew every `refresh` seconds, whether or not anybody said that it changed.
    """
    _kinds[kind] = Kind(access=access, project=project, interval=interval, refresh=refresh or REFRESH[access])


def known(kind: str) -> bool:
    """Will say whether the kind was registered."""
    return kind in _kinds


def get(kind: str) -> Kind:
    """Will give what was registered; raises KeyError for an unknown kind."""
    return _kinds[kind]


def kind_of(stream: str) -> Kind:
    """Will give what was registered for a stream's kind; raises KeyError for an unknown one."""
    return _kinds[parse(stream)[0]]


def name(kind: str, stream_id: int | None = None) -> str:
    """Will name a stream. Its channel-layer group has the same name, so it is letters, digits and periods."""
    return kind if stream_id is None else f"{kind}.{stream_id}"


def parse(stream: str) -> tuple[str, int | None]:
    """Will split a name into the kind and the id, None for a kind without ids; the reverse of `name`."""
    kind, period, stream_id = stream.partition(".")
    return kind, int(stream_id) if period else None


def events() -> str:
    """Will name the stream of the next events."""
    return name("events")


def event(event_id: int) -> str:
    """Will name the stream of one event."""
    return name("event", event_id)


def me(user_id: int) -> str:
    """Will name the stream of one user's own reservations and payments."""
    return name("me", user_id)
