"""Sockets that are admitted, the close codes of the others, and the messages that a client may send."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from rest_framework.test import APIClient

from overlord.accounts.models import User
from realtime import publish, rate_limits, store, streams
from realtime.gateway import access, consumer, hub
from realtime.gateway.access import RefusedError, admit
from realtime.gateway.daphne_socket import CloseCode
from realtime.store import Frame
from realtime.streams import Access
from realtime.tests.helpers import HERE, PATIENCE, Shown, Socket, logged_in, on_a_loop
from tests.clients import permit, token_of


def frame_keep(stream: str, data: str) -> None:
    store.frames_store([Frame(stream=stream, version=1, data=data, fingerprint=data)])


def close_code(path: str, headers: dict[str, str] | None = None) -> int:
    async def test() -> int:
        socket = Socket(path, headers)
        await socket.open()
        return await socket.code()

    return int(on_a_loop(test))


def snapshot(path: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    async def test() -> dict[str, Any]:
        socket = Socket(path, headers)
        await socket.open()
        frame = await socket.frame()
        await socket.close()
        return frame

    return dict(on_a_loop(test))


# Public streams -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/ws/events/12/", "/ws/events/12"])
def test_anyone_sees_an_event_without_a_query(path: str, shown: Shown) -> None:
    """Use no fixture of the database, so that any query fails."""
    frame_keep("event.12", '{"left":2}')
    frame = snapshot(path)
    assert (frame["type"], frame["stream"], frame["data"]) == ("snapshot", "event.12", {"left": 2})


@pytest.mark.parametrize(
    ("offers", "chosen"),
    [
        (["overlord.v1"], "overlord.v1"),
        (["other", "overlord.v1"], "overlord.v1"),
        (["other"], None),
        (None, None),
    ],
)
def test_our_subprotocol_is_chosen_when_offered(
    offers: list[str] | None, chosen: str | None, shown: Shown
) -> None:
    async def test() -> str | None:
        socket = Socket("/ws/events/12/", offers=offers)
        answer = await socket.open()
        await socket.close()
        return answer

    assert on_a_loop(test) == chosen


@pytest.mark.parametrize(
    "path",
    [
        "/ws/",
        "/ws/nonsense/",
        "/ws/events/x/",
        "/ws/events/-1/",
        "/ws/events/\u0661/",
        "/ws/events/12/more/",
        f"/ws/events/{2**63}/",
        f"/ws/events/{'9' * 5000}/",
        "/",
    ],
)
def test_an_unknown_address_is_closed_with_4404(path: str, shown: Shown) -> None:
    assert close_code(path) == 4404


def test_a_kind_that_no_app_shows_is_closed_with_4404(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(streams._definitions, "event", raising=False)
    assert close_code("/ws/events/12/") == 4404


def test_the_largest_possible_id_is_an_address(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "FIRST_FRAME_SECONDS", 0.1)
    assert close_code(f"/ws/events/{2**63 - 1}/") == 4503


# Origin and log-in --------------------------------------------------------------------------------------
ELSEWHERE = [
    {"host": "testserver:8080", "origin": "http://testserver:8081"},
    {"host": "testserver:8080", "origin": "https://testserver:8080"},
    {"host": "testserver:8080", "origin": "https://club.example"},
]


@pytest.mark.parametrize(
    "headers", [{"host": "testserver:8080", "origin": "null"}, {"host": "testserver:8080"}]
)
@pytest.mark.parametrize("path", ["/ws/events/12/", "/ws/me/"])
def test_no_origin_of_a_page_is_closed_with_4403(path: str, headers: dict[str, str], shown: Shown) -> None:
    assert close_code(path, headers) == 4403


@pytest.fixture
def owner_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        streams._definitions, "me", streams.Definition(access=Access.OWNER, project=lambda ids, now: {})
    )


@pytest.fixture
def ada(transactional_db: None) -> User:
    return User.objects.create_user("ada", "ada@example.org", "correct horse")


def with_token(user: User) -> dict[str, str]:
    return {"host": "testserver:8080", "authorization": f"Token {token_of(user)}"}


@pytest.mark.parametrize("headers", ELSEWHERE)
@pytest.mark.usefixtures("owner_kind")
def test_a_page_of_another_site_gets_a_public_stream_and_no_private_one(headers: dict[str, str]) -> None:
    """Use no fixture of the database, so that any query fails."""
    frame_keep("event.12", '{"left":5}')
    visitor = {**headers, "cookie": "sessionid=nonsensenonsensenonsense"}
    assert snapshot("/ws/events/12/", visitor)["data"] == {"left": 5}
    assert close_code("/ws/me/", visitor) == 4403
    assert close_code("/ws/nonsense/", visitor) == 4404


@pytest.mark.usefixtures("owner_kind")
@pytest.mark.parametrize("credentials", [logged_in, with_token])
def test_a_page_of_another_site_gets_nothing_by_its_visitors_credentials(
    credentials: Callable[[User], dict[str, str]], ada: User
) -> None:
    frame_keep("event.12", '{"left":5}')
    headers = {**credentials(ada), **ELSEWHERE[2]}
    assert close_code("/ws/me/", headers) == 4403
    scope = {"headers": [(name.encode(), value.encode()) for name, value in headers.items()]}
    assert async_to_sync(admit)(scope, kind="event", stream_id=12).credential is None


@pytest.mark.usefixtures("owner_kind")
def test_control_without_the_check_of_the_origin_another_site_reads_a_private_stream(
    ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "is_of_this_site", access.is_from_a_page)
    frame_keep(f"me.{ada.pk}", '{"mine":true}')
    assert snapshot("/ws/me/", {**logged_in(ada), **ELSEWHERE[2]})["data"] == {"mine": True}


@pytest.mark.usefixtures("owner_kind")
@pytest.mark.parametrize("credentials", [logged_in, with_token])
def test_a_user_sees_their_own_stream(credentials: Callable[[User], dict[str, str]], ada: User) -> None:
    frame_keep(f"me.{ada.pk}", '{"mine":true}')
    frame = snapshot("/ws/me/", credentials(ada))
    assert (frame["stream"], frame["data"]) == (f"me.{ada.pk}", {"mine": True})


@pytest.mark.usefixtures("owner_kind")
@pytest.mark.parametrize("credentials", [logged_in, with_token])
def test_a_deactivated_user_is_closed_with_4401(
    credentials: Callable[[User], dict[str, str]], ada: User
) -> None:
    headers = credentials(ada)
    User.objects.update(is_active=False)
    assert close_code("/ws/me/", headers) == 4401


@pytest.mark.usefixtures("owner_kind", "transactional_db")
@pytest.mark.parametrize(
    "headers",
    [
        HERE,
        {**HERE, "cookie": "sessionid=nonsensenonsensenonsense"},
        {**HERE, "cookie": 'sessionid="a\\000b"'},
        {**HERE, "authorization": "Token nonsense"},
        {**HERE, "authorization": "Token \x01"},
        {**HERE, "authorization": "Basic YTpi"},
        {"host": "testserver:8080", "authorization": "Token nonsense"},
        {"host": "testserver:8080", "authorization": ""},
    ],
)
def test_a_socket_without_a_valid_login_is_closed_with_4401(headers: dict[str, str]) -> None:
    assert close_code("/ws/me/", headers) == 4401


@pytest.mark.usefixtures("owner_kind", "transactional_db")
@pytest.mark.parametrize(
    ("header", "by"),
    [
        ("Token {}", "token"),
        ("token {}", "token"),
        ("TOKEN  {}", "token"),
        ("  Token\t{}  ", "token"),
        ("Token\xa0{}", "session"),
        ("Token{}", "session"),
        ("Bearer {}", "session"),
        ("Basic YTpi", "session"),  # of a front server that asks for a password
        ("", "session"),
        ("Token", None),
        ("Token ", None),
        ("Token {} more", None),
        ("Token {}\xff", None),
        ("Token nonsense", None),
    ],
)
def test_a_socket_reads_the_authorization_header_as_the_api_does(
    header: str, by: str | None, ada: User
) -> None:
    """Give a session of Bob besides Ada's token, and see whom the API and the socket recognise."""
    bob = User.objects.create_user("bob", "bob@example.org", "correct horse")
    authorization = header.format(token_of(ada))
    client = APIClient()
    client.force_login(bob)
    me = client.get("/api-auth/tokens/", headers={"authorization": authorization})
    scope = {
        "headers": [
            *((name.encode(), value.encode()) for name, value in logged_in(bob).items()),
            (b"authorization", authorization.encode("latin1")),
        ]
    }
    try:
        watched = async_to_sync(admit)(scope, kind="me", stream_id=None).stream
    except RefusedError as refused:
        watched = str(refused.code)
    person = {"token": ada, "session": bob, None: None}[by]
    assert watched == ("4401" if person is None else f"me.{person.pk}")
    assert me.status_code == (401 if person is None else 200)
    assert person is None or me.wsgi_request.user.pk == person.pk


@pytest.mark.usefixtures("owner_kind")
def test_a_session_without_an_origin_opens_nothing_beside_another_authorization(ada: User) -> None:
    """Let only a token leave out the Origin: a page of another site can be made to send a session."""
    cookie = {"host": "testserver:8080", "cookie": logged_in(ada)["cookie"]}
    frame_keep(f"me.{ada.pk}", '{"mine":true}')
    assert close_code("/ws/me/", {**cookie, "authorization": "Basic YTpi"}) == 4401
    assert snapshot("/ws/me/", {**logged_in(ada), "authorization": "Basic YTpi"})["data"] == {"mine": True}


def test_a_wrong_token_is_refused_although_there_is_a_session(owner_kind: None, ada: User) -> None:
    assert close_code("/ws/me/", {**logged_in(ada), "authorization": "Token nonsense"}) == 4401


def test_a_program_needs_a_valid_token_for_a_public_stream_too(shown: Shown, ada: User) -> None:
    frame_keep("event.12", "1")
    assert snapshot("/ws/events/12/", with_token(ada))["data"] == 1
    assert close_code("/ws/events/12/", {"host": "x", "authorization": "Token wrong"}) == 4401


def test_a_token_in_the_address_is_ignored(owner_kind: None, ada: User) -> None:
    key = token_of(ada)
    assert close_code(f"/ws/me/?token={key}") == 4401


def test_streams_for_staff_are_refused_to_others(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        streams._definitions,
        "stats",
        streams.Definition(access=Access.STAFF, project=lambda ids, now: {}, permission="stats.view_monitor"),
    )
    pairs = [(name.encode(), value.encode()) for name, value in with_token(ada).items()]
    watch = partial(async_to_sync(admit), {"headers": pairs}, kind="stats", stream_id=None)
    with pytest.raises(RefusedError) as refused:
        watch()
    assert refused.value.code == CloseCode.NOT_ALLOWED
    User.objects.update(is_staff=True)
    with pytest.raises(RefusedError):
        watch()
    permit(ada, "stats.view_monitor")
    assert watch().stream == "stats"


def test_without_a_database_a_socket_is_not_told_that_its_log_in_is_wrong(
    owner_kind: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError

    async def away(*_: object) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(access, "_users_of", away)
    assert close_code("/ws/me/", {"host": "x", "authorization": "Token abc"}) == 4503


# Messages of clients ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"text": '{"type": "subscribe"}'}, 1008),
        ({"text": '{"type": "resync", "more": 1}'}, 1008),
        ({"text": '["resync"]'}, 1008),
        ({"text": "resync"}, 1008),
        ({"text": ""}, 1008),
        ({"text": "[" * 4000}, 1008),
        ({"text": "9" * 4096}, 1008),
        ({"bytes": b'{"type":"resync"}'}, 1008),
        ({"text": " " * 4097}, 1009),
        ({"text": "\u20ac" * 1400}, 1009),
        ({"bytes": b"x" * 5000}, 1009),
    ],
)
def test_any_message_but_resync_closes_the_socket(said: dict[str, Any], code: int, shown: Shown) -> None:
    frame_keep("event.12", "1")

    async def test() -> int:
        socket = Socket("/ws/events/12/")
        await socket.open()
        await socket.frame()
        await socket.send(**said)
        return await socket.code()

    assert on_a_loop(test) == code


def test_resync_is_answered_by_a_snapshot(shown: Shown) -> None:
    frame_keep("event.12", "1")

    async def test() -> list[dict[str, Any]]:
        socket = Socket("/ws/events/12/")
        await socket.open()
        first = await socket.frame()
        await socket.send(text='{"type": "resync"}')
        answer = await socket.frame()
        await socket.close()
        return [first, answer]

    assert [frame["type"] for frame in on_a_loop(test)] == ["snapshot", "snapshot"]


def test_a_socket_that_leaves_is_forgotten(shown: Shown) -> None:
    frame_keep("event.12", "1")

    async def test() -> set[Any]:
        socket = Socket("/ws/events/12/")
        await socket.open()
        await socket.frame()
        await socket.close()
        return hub.current().subscriptions["event.12"].subscribers

    assert on_a_loop(test) == set()


# Limits -------------------------------------------------------------------------------------------------
def opened(path: str, *, times: int, headers: dict[str, str] | None = None) -> list[int]:
    """Open this number of sockets; return the close code of the last, if it is closed.

    A socket that closes makes room.
    """

    async def test() -> list[int]:
        kept = []
        for _ in range(times - 1):
            kept.append(Socket(path, headers))
            await kept[-1].open()
            await kept[-1].frame()
        last = Socket(path, headers)
        await last.open()
        message = await last._end.receive_output(timeout=PATIENCE)
        await kept[0].close()
        again = Socket(path, headers)
        await again.open()
        assert (await again.frame())["type"] == "snapshot"
        return [message["code"]] if message["type"] == "websocket.close" else []

    return list(on_a_loop(test))


def test_an_address_has_a_limited_number_of_sockets(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    frame_keep("event.12", "1")
    monkeypatch.setattr(rate_limits, "SOCKETS_PER_ADDRESS", 3)
    assert opened("/ws/events/12/", times=4) == [4503]


def test_control_with_a_higher_limit_the_socket_is_served(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame_keep("event.12", "1")
    monkeypatch.setattr(rate_limits, "SOCKETS_PER_ADDRESS", 5)
    assert opened("/ws/events/12/", times=4) == []


@pytest.mark.usefixtures("owner_kind")
def test_a_user_has_a_limited_number_of_sockets(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    frame_keep(f"me.{ada.pk}", "1")
    monkeypatch.setattr(rate_limits, "SOCKETS_PER_USER", 2)
    assert opened("/ws/me/", times=3, headers=with_token(ada)) == [4503]


def test_the_addresses_of_one_ipv6_network_are_one() -> None:
    def address(client: str | None) -> str:
        return consumer._address({"headers": [], "client": client and [client, 1]})

    assert address("2001:db8::1") == address("2001:db8::ffff:2") != address("2001:db8:1::1")
    assert address("127.0.0.1") != address("127.0.0.2")
    assert address("nonsense") == address(None) == ""


def flood(count: int) -> int | None:
    """Return the close code for a client that sends this number of frames at once."""

    async def test() -> int | None:
        socket = Socket("/ws/events/12/")
        await socket.open()
        await socket.frame()
        for _ in range(count):
            await socket.send(text='{"type": "resync"}')
        for _ in range(3):
            message = await socket._end.receive_output(timeout=0.5 if count < 31 else PATIENCE)
            if message["type"] == "websocket.close":
                return int(message["code"])
        return None

    try:
        return on_a_loop(test)  # type: ignore[no-any-return]
    except TimeoutError:
        return None


def test_a_flood_of_resyncs_closes_the_socket_and_thirty_do_not(shown: Shown) -> None:
    frame_keep("event.12", "1")
    assert flood(31) == 1008
    assert flood(30) is None


# Advice -------------------------------------------------------------------------------------------------
def test_advice_reaches_its_stream_and_no_other(owner_kind: None, ada: User) -> None:
    bob = User.objects.create_user("bob", "bob@example.org", "correct horse")
    for user in (ada, bob):
        frame_keep(f"me.{user.pk}", "1")

    async def test() -> None:
        screens = [Socket("/ws/me/", with_token_of[user.pk]) for user in (ada, bob)]
        for screen in screens:
            await screen.open()
            await screen.frame()
        advice = {"reservation": 5, "expires_at": "2026-01-01T00:00:00Z", "expires_in": 60}
        for _ in range(3):
            await asyncio.to_thread(publish.advice_send, advice=[(f"me.{ada.pk}", advice), ("me.999", {})])
        frame = await screens[0].frame()
        assert (frame["type"], frame["stream"], frame["data"]) == ("expiring", f"me.{ada.pk}", advice)
        assert frame["version"] == 1
        assert await screens[1]._end.receive_nothing(timeout=0.3)

    with_token_of = {user.pk: with_token(user) for user in (ada, bob)}
    on_a_loop(test)
