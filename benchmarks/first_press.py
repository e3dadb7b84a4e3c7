"""Measure the CPU of a visitor's first press, beside the same press of a buyer who has a session.

Both send the form of an event's page, with the limits of production; each request has an address of its own.
"""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone

from benchmarks import load, sale
from benchmarks.cpu import Meter
from benchmarks.load import Load
from benchmarks.report import Goal, Report, Scale, percentile
from benchmarks.system import System
from overlord.accounts.models import User
from overlord.kernel import db

CONNECTIONS = 8
KNOWN = 6_000  # buyers; no round serves as many
KNOWN_PRESS, FIRST_PRESS = "somebody known", "a visitor"
_addresses = count()


def run(system: System, scale: Scale) -> Report:
    """Measure presses of visitors and of buyers who have a session."""
    sale.clear()
    sale.buyers_make(KNOWN)
    [ticket_type] = sale.event_make()
    page = f"/events/{sale.event_of(ticket_type)}/"
    cookies = _sessions_make()
    crowd = Load(system.start_web("web", RATE_LIMITS="on"), CONNECTIONS)
    arms = {KNOWN_PRESS: cookies, FIRST_PRESS: [""] * KNOWN}
    report = Report("First press")
    for each in arms.values():  # so that connections to PostgreSQL, templates and imports are there
        _press(crowd, page, ticket_type, each, seconds=1)
    for nth in range(scale.rounds):
        for arm, each in arms.items() if nth % 2 == 0 else reversed(arms.items()):
            sale.reset()
            meter = Meter(system, {"web": ["web"], "postgres": ["postgres"]})
            tally = _press(crowd, page, ticket_type, each, seconds=scale.seconds)
            spent = meter.spent()
            _check(tally)
            done = tally.statuses[302]
            cpu = {f"{group} ms": seconds / done * 1e3 for group, seconds in spent.items()}
            p50 = percentile(tally.latencies, 0.5) * 1000
            report.add(arm, **{"a second": tally.rate(302), "p50 ms": p50, **cpu})
    crowd.close()
    pairs = zip(report.rounds(FIRST_PRESS, "web ms"), report.rounds(KNOWN_PRESS, "web ms"), strict=True)
    more = [first - known for first, known in pairs]
    report.goals += [
        Goal(name="a first press: web CPU, minus that of a known user", measured=more, most=1.2, unit="ms")
    ]
    db.rows("DELETE FROM tickets_reservation")
    User.objects.filter(is_guest=True).delete()
    return report


def _sessions_make() -> list[str]:
    """Make a session for each known buyer, and return the cookies of the sessions."""
    end = timezone.now() + timedelta(days=1)
    made = []
    for user in User.objects.filter(username__startswith="bench-", pk__lte=KNOWN):
        data = {
            SESSION_KEY: str(user.pk),
            BACKEND_SESSION_KEY: settings.AUTHENTICATION_BACKENDS[0],
            HASH_SESSION_KEY: user.get_session_auth_hash(),
        }
        session = Session(session_key=f"bench{user.pk:027}", session_data=SessionStore().encode(data))
        session.expire_date = end
        made.append(session)
    Session.objects.bulk_create(made, ignore_conflicts=True)
    return [f"{settings.SESSION_COOKIE_NAME}={each.session_key}" for each in made]


def _press(crowd: Load, page: str, ticket_type: int, cookies: list[str], *, seconds: float) -> load.Tally:
    def requests(mine: list[str]) -> Iterator[bytes]:
        for cookie in mine:
            yield _form(page, f"amount_{ticket_type}=1", cookie)

    return crowd.run([requests(cookies[nth::CONNECTIONS]) for nth in range(CONNECTIONS)], seconds=seconds)


def _form(page: str, body: str, cookie: str) -> bytes:
    number = next(_addresses)
    lines = [
        f"POST {page} HTTP/1.1",
        f"Host: {load.HOST}",
        "Accept: text/html",
        "Sec-Fetch-Site: same-origin",
        f"X-Forwarded-For: 10.{number // 65_536}.{number // 256 % 256}.{number % 256}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
    ]
    if cookie:
        lines.append(f"Cookie: {cookie}")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def _check(tally: load.Tally) -> None:
    """Raise BrokenError unless each press made one reservation."""
    sale.check()
    [row] = db.rows("SELECT count(*) AS made FROM tickets_reservation")
    if set(tally.statuses) != {302} or row["made"] != tally.statuses[302]:
        raise sale.BrokenError(f"{row['made']} reservations were made by {dict(tally.statuses)}.")
