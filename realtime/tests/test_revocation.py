"""Revocation: a socket is closed as soon as PostgreSQL notifies that its credential has ended."""

from collections.abc import Callable
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.contrib.auth.models import Group, Permission
from django.test import Client

from overlord.accounts import services
from overlord.accounts.models import ApiToken, User
from overlord.kernel import listening
from overlord.kernel.db import rows
from realtime import streams
from realtime.gateway import consumer, hub, revocation
from realtime.gateway.access import Admission, Credential
from realtime.gateway.hub import Hub
from realtime.gateway.revocation import Revocation
from realtime.streams import Access
from realtime.tests.helpers import Screen, Socket, frame_keep, logged_in, on_a_loop, until, with_hub
from tests.clients import permit, token_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("private", "quick", "shown")]


SEES_MONITOR = "stats.view_monitor"


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the streams of kind "me", for their owner."""
    definition = streams.Definition(access=Access.OWNER, project=lambda ids, now: {})
    monkeypatch.setitem(streams._definitions, "me", definition)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let hubs check often whether they must listen, because each of these tests waits for that."""
    monkeypatch.setattr(revocation, "LISTEN_SECONDS", 0.05)


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", "ada@example.org", "correct horse")


def by_session(user: User, *, permission: str | None = None) -> Credential:
    client = Client()
    client.force_login(user)
    key = client.cookies["sessionid"].value
    return Credential(by="session", key=key, user_id=user.pk, permission=permission)


def by_token(user: User) -> Credential:
    return Credential(by="token", key=ApiToken.hash_of(token_of(user)), user_id=user.pk)


def as_staff(user: User) -> Credential:
    return by_session(permit(user, SEES_MONITOR), permission=SEES_MONITOR)


def as_staff_by_group(user: User) -> Credential:
    group = Group.objects.create(name="viewers")
    group.permissions.add(Permission.objects.get(codename="view_monitor"))
    group.user_set.add(permit(user))
    return by_session(user, permission=SEES_MONITOR)


def logs_out(credential: Credential) -> None:
    client = Client()
    client.cookies["sessionid"] = credential.key
    client.logout()


def logs_out_everywhere(credential: Credential) -> None:
    services.logins_end(user_id=credential.user_id)


def changes_password(credential: Credential) -> None:
    user = User.objects.get(pk=credential.user_id)
    user.set_password("another one")
    user.save()


def gets_deactivated(credential: Credential) -> None:
    User.objects.filter(pk=credential.user_id).update(is_active=False)


def loses_the_token(credential: Credential) -> None:
    ApiToken.objects.filter(pk=credential.key).delete()


def is_staff_no_longer(credential: Credential) -> None:
    User.objects.filter(pk=credential.user_id).update(is_staff=False)


def loses_the_permission(credential: Credential) -> None:
    User.objects.get(pk=credential.user_id).user_permissions.clear()


def leaves_the_group(credential: Credential) -> None:
    User.objects.get(pk=credential.user_id).groups.clear()


def sees_the_group_lose_it(credential: Credential) -> None:
    Group.objects.get().permissions.clear()


def notify(channel: str, payload: str) -> None:
    rows("SELECT pg_notify(%s, %s)", [channel, payload])


in_thread = database_sync_to_async


async def listens(hub: Hub) -> None:
    assert await until(lambda: hub.revocation.changes > 0)
    assert await until(lambda: hub.revocation._check_all_at > hub._loop.time()), "all were checked then"


async def all_notified(hub: Hub) -> None:
    """Wait until all notifications that were sent before now are processed."""
    changes = hub.revocation.changes
    await in_thread(notify)(revocation.PRINCIPALS, "0")
    assert await until(lambda: hub.revocation.changes > changes)
    assert await until(lambda: not hub.revocation._notified)


async def closed(
    hub: Hub, credential: Credential, happens: Callable[[Credential], None], *, seconds: float = 10
) -> list[int]:
    """Return the close codes of a socket after a change of its credential."""
    frame_keep(1, "1", f"me.{credential.user_id}")
    screen = Screen(f"me.{credential.user_id}", credential)
    await hub.attach(screen.subscriber)
    await listens(hub)
    await in_thread(happens)(credential)
    await all_notified(hub)
    await until(lambda: bool(screen.codes), seconds=seconds)
    return screen.codes


CHANGES = [
    (by_session, logs_out, 4401),
    (by_session, logs_out_everywhere, 4401),
    (by_session, changes_password, 4401),
    (by_session, gets_deactivated, 4401),
    (by_token, loses_the_token, 4401),
    (by_token, logs_out_everywhere, 4401),
    (by_token, changes_password, 4401),
    (by_token, gets_deactivated, 4401),
    (as_staff, is_staff_no_longer, 4403),
    (as_staff, loses_the_permission, 4403),
    (as_staff_by_group, leaves_the_group, 4403),
    (as_staff_by_group, sees_the_group_lose_it, 4403),
]


@pytest.mark.parametrize(("known", "happens", "code"), CHANGES)
def test_a_socket_is_closed_when_its_credential_ends(
    known: Callable[[User], Credential], happens: Callable[[Credential], None], code: int, ada: User
) -> None:
    credential = known(ada)
    assert with_hub(lambda hub: closed(hub, credential, happens)) == [code]


@pytest.mark.parametrize(("known", "happens"), [(by_session, logs_out), (by_token, changes_password)])
def test_control_without_the_notification_it_stays_until_the_next_check(
    known: Callable[[User], Credential],
    happens: Callable[[Credential], None],
    ada: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    credential = known(ada)
    monkeypatch.setattr(revocation, "_is_notified", lambda *_: False)
    assert with_hub(lambda hub: closed(hub, credential, happens, seconds=0.2)) == []


def unheard(*_args: Any, **_options: Any) -> Any:
    raise listening.NotHeardError


async def closed_unheard(hub: Hub, credential: Credential, *, seconds: float) -> list[int]:
    """Return the close codes of a socket after a log-out without a notification."""
    frame_keep(1, "1", f"me.{credential.user_id}")
    screen = Screen(f"me.{credential.user_id}", credential)
    await hub.attach(screen.subscriber)
    await in_thread(logs_out)(credential)
    await until(lambda: bool(screen.codes), seconds=seconds)
    return screen.codes


def test_without_notifications_all_sockets_are_checked_each_second(
    ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "listen", unheard)
    monkeypatch.setattr(revocation, "NOT_LISTENING_SECONDS", 0.1)
    credential = by_session(ada)
    assert with_hub(lambda hub: closed_unheard(hub, credential, seconds=60)) == [4401]


def test_control_with_the_usual_checks_the_socket_stays_open(
    ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "listen", unheard)
    monkeypatch.setattr(Revocation, "_check_all", lambda _revocation: None)
    monkeypatch.setattr(revocation, "NOT_LISTENING_SECONDS", 1000.0)
    credential = by_session(ada)
    assert with_hub(lambda hub: closed_unheard(hub, credential, seconds=0.5)) == []


def test_a_hub_listens_anew_each_minute(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "AGAIN_SECONDS", 0.0)
    credential = by_session(ada)

    async def test(hub: Hub) -> list[int]:
        await listening_twice(hub, credential)
        return await closed(hub, credential, logs_out)

    assert with_hub(test) == [4401]


async def listening_twice(hub: Hub, credential: Credential) -> None:
    screen = Screen(f"me.{credential.user_id}", credential)
    frame_keep(1, "1", f"me.{credential.user_id}")
    await hub.attach(screen.subscriber)
    assert await until(lambda: hub.revocation._connection is not None)
    first = hub.revocation._connection
    assert await until(lambda: hub.revocation._connection not in {None, first})
    assert first is not None
    assert first.closed


@pytest.mark.parametrize(("known", "happens", "code"), CHANGES)
def test_the_regular_check_finds_an_ended_session_too(
    known: Callable[[User], Credential],
    happens: Callable[[Credential], None],
    code: int,
    ada: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    credential = known(ada)
    monkeypatch.setattr(revocation, "LISTEN_SECONDS", 1000.0)

    async def test(hub: Hub) -> tuple[list[int], list[int]]:
        screen, public = Screen(f"me.{ada.pk}", credential), Screen("event.1")
        await hub.attach(screen.subscriber)
        await hub.attach(public.subscriber)
        await hub.revocation.check()
        assert screen.codes == [], "nothing has happened yet"
        await in_thread(happens)(credential)
        await hub.revocation.check()
        return screen.codes, public.codes

    assert with_hub(test) == ([code], [])


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let hubs never listen, because they check all credentials when they begin to."""
    monkeypatch.setattr(revocation, "LISTEN_SECONDS", 1000.0)


@pytest.mark.usefixtures("deaf")
def test_many_sockets_take_as_many_queries_as_one(
    ada: User, django_assert_num_queries: Callable[[int], Any]
) -> None:
    known = [by_session(ada) for _ in range(5)] + [by_token(ada)]

    async def test(hub: Hub) -> None:
        for credential in known:
            await hub.attach(Screen("me.1", credential).subscriber)
        await hub.revocation.check()

    with django_assert_num_queries(3):  # sessions, their users, tokens with theirs
        with_hub(test)


@pytest.mark.usefixtures("deaf")
def test_a_notification_of_another_user_asks_the_database_nothing(
    ada: User, django_assert_num_queries: Callable[[int], Any]
) -> None:
    credential = by_session(ada)

    async def test(hub: Hub) -> None:
        await hub.attach(Screen(f"me.{ada.pk}", credential).subscriber)
        await hub.revocation.check({str(ada.pk + 1), "0" * 64})

    with django_assert_num_queries(0):
        with_hub(test)


def test_a_notification_that_names_nobody_checks_all(ada: User) -> None:
    credential = by_session(ada)

    def deletes_silently(_: Credential) -> None:
        rows("ALTER TABLE django_session DISABLE TRIGGER session_ended")
        logs_out(credential)
        rows("ALTER TABLE django_session ENABLE TRIGGER session_ended")
        notify(revocation.PRINCIPALS, "all")

    assert with_hub(lambda hub: closed(hub, credential, deletes_silently)) == [4401]


def test_a_missed_notification_is_made_up_for_afterwards(ada: User) -> None:
    credential = by_session(ada)

    def lose_the_connection_and_log_out(_: Credential) -> None:
        rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'revocation'")
        logs_out(credential)

    async def test(hub: Hub) -> list[int]:
        screen = Screen(f"me.{ada.pk}", credential)
        frame_keep(1, "1", f"me.{ada.pk}")
        await hub.attach(screen.subscriber)
        await listens(hub)
        await in_thread(lose_the_connection_and_log_out)(credential)
        await until(lambda: bool(screen.codes), seconds=10)
        return screen.codes

    assert with_hub(test) == [4401]


def test_without_private_sockets_there_is_no_connection(ada: User) -> None:
    credential = by_session(ada)

    async def test(hub: Hub) -> None:
        screen = Screen(f"me.{ada.pk}", credential)
        await hub.attach(screen.subscriber)
        await listens(hub)
        hub.detach(screen.subscriber)
        assert await until(lambda: hub.revocation._connection is None)

    with_hub(test)


def closed_while_admitted(ada: User, monkeypatch: pytest.MonkeyPatch, *, seconds: float) -> bool:
    """Return whether a socket is closed whose session ends between the admission's read and its attachment."""
    headers = logged_in(ada)
    session = headers["cookie"].rpartition("=")[2]
    admit = consumer.admit  # type: ignore[attr-defined]
    frame_keep(1, "1", f"me.{ada.pk}")
    bob = by_session(User.objects.create_user("bob", "bob@example.org", "correct horse"))
    frame_keep(1, "1", f"me.{bob.user_id}")

    async def admit_and_log_out(*given: Any, **named: Any) -> Admission:
        admission = await admit(*given, **named)
        await in_thread(logs_out)(Credential(by="session", key=session, user_id=ada.pk))
        await all_notified(hub.current())
        return admission

    async def test() -> bool:
        other = Screen(f"me.{bob.user_id}", bob)
        await hub.current().attach(other.subscriber)
        await listens(hub.current())
        monkeypatch.setattr(consumer, "admit", admit_and_log_out)
        socket = Socket("/ws/me/", headers)
        await socket.open()
        assert (await socket.frame())["type"] == "snapshot"
        await all_notified(hub.current())
        return await until(
            lambda: not hub.current().subscriptions[f"me.{ada.pk}"].subscribers, seconds=seconds
        )

    return bool(on_a_loop(test))


def test_a_session_that_ends_during_the_admission_closes_the_socket(
    ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert closed_while_admitted(ada, monkeypatch, seconds=10)


def test_control_without_the_second_check_the_socket_stays(
    ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Revocation, "check_soon", lambda *_: None)
    assert not closed_while_admitted(ada, monkeypatch, seconds=0.2)
