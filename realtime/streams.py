"""The streams: their names, who may watch them, how often they are sent, and which function reads their state.

Runs in every process and thread. A stream's name is its kind and, if there are many streams of the kind, an id:
"events", "event.12", "me.7". For a stream that a link opens, the id is the text inside the link: "tickets.o12-1".

What must stay true: the apps that own the data register the kinds in `AppConfig.ready`. So all kinds are known
before the first request, task or socket, and none changes afterwards.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol


class Projection(Protocol):
    """A function that reads the state of streams of one kind; see `register`."""

    def __call__(self, ids: Collection[Any], /, *, now: datetime) -> Mapping[Any, Any]: ...


StreamId = int | str
UPDATE_SECONDS = 0.1  # between two updates of a stream, and between two flushes of a worker
# How many updates of a user's own stream may be sent at once after a rest. A payment changes the stream twice
# within milliseconds (PENDING, then its outcome), and another change may come between.
PRIVATE_BURST = 3
ALONE = 0  # the projection of a kind without ids returns its state under this id


class Kind(StrEnum):
    """The kinds of streams. docs/realtime.md says what each shows."""

    EVENTS = "events"
    EVENT = "event"
    LINE = "line"
    DOOR = "door"
    ME = "me"
    TICKETS = "tickets"
    STATS = "stats"


class Access(StrEnum):
    """Who may watch the streams of a kind.

    LINK: anyone who has a link that names the stream. OWNER: only the user whose id is the stream's id. STAFF: only
    staff with the permission of the kind.
    """

    PUBLIC = "public"
    LINK = "link"
    OWNER = "owner"
    STAFF = "staff"


REFRESH_SECONDS = {Access.PUBLIC: 3.0, Access.LINK: 30.0, Access.OWNER: 12.0, Access.STAFF: 12.0}


@dataclass(frozen=True, kw_only=True)
class Definition:
    """The registration of a kind of stream. `register` describes the fields."""

    access: Access
    project: Projection
    interval: float = UPDATE_SECONDS
    refresh: float = REFRESH_SECONDS[Access.PUBLIC]
    permission: str | None = None
    link_read: Callable[[str], str | None] | None = None

    @property
    def burst(self) -> int:
        """Return how many updates may be sent at once after a rest."""
        return PRIVATE_BURST if self.access == Access.OWNER else 1


_definitions: dict[str, Definition] = {}


def register(
    kind: str,
    *,
    access: Access,
    project: Projection,
    interval: float = UPDATE_SECONDS,
    refresh: float | None = None,
    permission: str | None = None,
    link_read: Callable[[str], str | None] | None = None,
) -> None:
    """Register a kind of stream.

    `project(ids, now=...)` returns the whole current state of each stream by its id, as data that `rendering.dumps`
    can write. A stream whose id the result leaves out does not exist. For a kind without ids, `ids` is empty and
    the result is {ALONE: state}. The function is called in the transaction of a flush, so it only reads, and opens
    no transaction. Two calls without a change between them return the same, except for the fields in
    `rendering.CLOCK_MEMBERS`. Otherwise each mark would send the stream again.

    A stream is sent at most once in `interval` seconds; a user's own stream up to PRIVATE_BURST times at once after
    a rest. If `interval` is longer than UPDATE_SECONDS, the state is also read at most once in `interval` seconds.
    While a stream has subscribers, it is read every `refresh` seconds even if nothing has marked it.

    `link_read(text)` returns the id of the stream that a link opens, or None if the text is not a link. It runs on
    Daphne's event loop and asks no server; only `project` finds out whether the link still works.

    A kind has a `permission` if its access is STAFF, and a `link_read` if its access is LINK. Otherwise it has
    none. Raise ValueError if this is not so.
    """
    if (access == Access.STAFF) != (permission is not None):
        raise ValueError(f"{kind}: a kind needs a permission if, and only if, it is for staff.")
    if (access == Access.LINK) != (link_read is not None):
        raise ValueError(f"{kind}: a kind needs `link_read` if, and only if, links open it.")
    _definitions[kind] = Definition(
        access=access,
        project=project,
        interval=interval,
        refresh=refresh or REFRESH_SECONDS[access],
        permission=permission,
        link_read=link_read,
    )


def known(kind: str) -> bool:
    """Return whether the kind is registered."""
    return kind in _definitions


def get(kind: str) -> Definition:
    """Return the registration of a kind; raise KeyError for an unknown one."""
    return _definitions[kind]


def definition_of(stream: str) -> Definition:
    """Return the registration of a stream's kind; raise KeyError for an unknown one."""
    return _definitions[parse(stream)[0]]


def name(kind: str, stream_id: StreamId | None = None) -> str:
    """Return a stream's name, also the name of its channel-layer group: letters, digits, hyphens and periods."""
    return str(kind) if stream_id is None else f"{kind}.{stream_id}"


def parse(stream: str) -> tuple[str, StreamId | None]:
    """Split a name into the kind and the id (None for a kind without ids); the reverse of `name`."""
    kind, period, stream_id = stream.partition(".")
    if not period:
        return kind, None
    return kind, int(stream_id) if stream_id.isdecimal() else stream_id


def events() -> str:
    """Return the name of the stream of the next events."""
    return name(Kind.EVENTS)


def event(event_id: int) -> str:
    """Return the name of the stream of one event."""
    return name(Kind.EVENT, event_id)


def line(event_id: int) -> str:
    """Return the name of the stream of an event's line."""
    return name(Kind.LINE, event_id)


def door(event_id: int) -> str:
    """Return the name of the stream of an event's admissions."""
    return name(Kind.DOOR, event_id)


def me(user_id: int) -> str:
    """Return the name of the stream of one user's reservations and payments."""
    return name(Kind.ME, user_id)


def tickets(link: str) -> str:
    """Return the name of the stream of the tickets that a link opens; `link` is the text in it, such as "o12-1"."""
    return name(Kind.TICKETS, link)
