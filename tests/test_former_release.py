"""The former release goes on selling while the database already has the schema of this one.

Its web and payments processes run from its own files on the database that this release migrated, beside the
processes of this release, as in the middle of an upgrade. By default it is the latest release before this commit
(a tag such as `v0.1.0`); `--former COMMIT` names another one. Without a release in the history, or without the
history, there is nothing to run.
"""

import io
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from django.utils import timezone

from benchmarks import sale
from overlord.embedded import ports, processes, program
from tests.system import PATIENCE, System, eventually
from tests.threads import together
from tickets.models import Event, Inventory, Reservation, TicketType

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parents[1]
GIT = shutil.which("git") or "git"
BUYERS = 6  # at the same time, at each of the two releases
ORDERS = 4  # of each guest, one after the other


def git(*words: str) -> bytes | None:
    """Return the output of git; None if it fails or is not installed."""
    try:
        return subprocess.run((GIT, *words), cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


def former_release() -> str | None:
    """Return the tag of the latest release before this commit."""
    tags = (git("tag", "--merged", "HEAD^", "--list", "v*", "--sort=-v:refname") or b"").decode().split()
    return tags[0] if tags else None


@pytest.fixture
def former(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a folder with the files of the former release."""
    commit = request.config.getoption("--former") or former_release()
    if commit is None:
        pytest.skip("no former release is tagged in the history that is here; --former COMMIT names one")
    files = git("archive", "--format=zip", commit)
    if files is None:
        pytest.skip(f"the files of {commit} are not in the history that is here")
    with zipfile.ZipFile(io.BytesIO(files)) as archive:
        archive.extractall(tmp_path / "former")
    return tmp_path / "former"


@pytest.fixture
def former_web(former: Path, system: System, tmp_path: Path) -> Iterator[int]:
    """Start web and payments of the former release beside the running system; return the web's port."""
    port, env = ports.any_free(), dict(system.child("web").program.env)
    described = [program.web(port, env=env), program.payments(env=env)]
    children = []
    try:
        for each in described:
            own = {"name": f"former-{each.name}", "cwd": former, "forked": False}
            own |= {"liveness": tmp_path / each.name, "argv": tuple(each.argv)}
            children.append(processes.start(replace(each, **own), tmp_path / "logs"))
        eventually(lambda: program.http_status(port, "/livez/") == 200)
        yield port
    finally:
        processes.stop(children)


@pytest.fixture
def types(system: System) -> list[TicketType]:
    event = Event.objects.create(name="Upgrade", date=timezone.now() + timedelta(days=9), currency="EUR")
    made = [TicketType.objects.create(event=event, name=name, price_minor=1500) for name in ("Stalls", "Box")]
    for each in made:
        Inventory.objects.create(ticket_type=each, capacity=10_000, closes_at=event.date)
    return made


def buy(port: int, number: int, types: list[TicketType]) -> list[int]:
    """Take one guest from the first press to the paid ticket, several times; return the paid reservations."""
    stalls, box = (each.pk for each in types)
    address = {"X-Forwarded-For": f"203.0.{port % 250}.{number}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, headers=address) as client:

        def ask(method: str, path: str, **body: object) -> dict[str, object]:
            answer = client.request(method, path, json=body or None)
            assert answer.status_code < 300, (path, answer.status_code, answer.text)
            return dict(answer.json()) if answer.content else {}

        client.headers["Authorization"] = f"Token {ask('POST', '/register/guest/')['token']}"
        client.cookies.clear()
        paid = []
        for _ in range(ORDERS):
            items = [{"ticket_type": stalls, "amount": 2}, {"ticket_type": box, "amount": 1}]
            order = ask("POST", "/event/reservations/batch/", items=items)["order"]
            ask("PATCH", f"/event/reservations/{order}/", amount=1)
            ask("GET", "/event/reservations/")
            email = f"guest-{port}-{number}-{order}@example.org"
            payment = ask("POST", "/payment/payments/", reservation_id=order, email=email)["id"]
            ask("POST", f"/payment/payments/{payment}/pay/", token="ok")
            eventually(
                lambda payment=payment: (
                    ask("GET", f"/payment/payments/{payment}/")["payment_status"] == "SUCCESS"
                )
            )
            paid.append(int(str(order)))
        return paid


def test_both_releases_sell_from_the_new_schema(
    former_web: int, system: System, types: list[TicketType]
) -> None:
    argv = system.child("web").program.argv
    present = int(argv[argv.index("--port") + 1])
    sold = together(
        *[
            lambda port=port, number=number: buy(port, number, types)
            for number in range(BUYERS)
            for port in (former_web, present)
        ]
    )
    assert all(isinstance(each, list) for each in sold), sold
    orders = [order for each in sold for order in each]
    assert len(orders) == 2 * BUYERS * ORDERS
    assert Reservation.objects.filter(pk__in=orders, state="validated").count() == len(orders)
    sale.check()


def test_without_the_history_the_test_is_skipped_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_former_release.ROOT", Path("/"))
    assert former_release() is None
    assert git("archive", "--format=zip", "v0.1.0") is None
