"""The processes of docker-compose.yml, without Docker: two of each, production's settings, TLS, one sale.

The files are those of the image and the commands those of the Compose file. Each replica has an address of its
own, and Caddy finds all replicas by one DNS name.
"""

import os
import secrets
import signal
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest

from overlord.embedded import binaries, ports, processes
from overlord.embedded.processes import Child, Program
from overlord.embedded.servers import redis_answers
from tests import compose
from tests.compose import OURS, Machine
from tests.databases import MIGRATED, database
from tests.name_server import name_server
from tests.system import Buyer, Screen, System, eventually

pytestmark = [
    pytest.mark.processes,
    pytest.mark.xdist_group("systems"),  # with the system that tests share: one runs at a time
    pytest.mark.skipif(os.uname().sysname != "Linux", reason="elsewhere only 127.0.0.1 is this machine"),
]

HOLD_SECONDS = 6
AMOUNT = 6
EVENT = """
[{"name": "One of a kind", "date": "2099-01-01T20:00:00Z", "currency": "EUR", "ticket_types": [
    {"ticket_type": "Only Front", "price": "10.00", "amount": 6, "max_per_user": 2},
    {"ticket_type": "Only Back", "price": "5.00", "amount": 9, "max_per_user": 3}]}]
"""


@dataclass
class Composed(System):
    """The system behind Caddy's TLS."""

    database_url: str = ""
    addresses: dict[str, list[str]] | None = None

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def rows(self, sql: str, *params: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query on the database."""
        connection = psycopg2.connect(self.database_url)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, params)
                return cursor.fetchall()
        finally:
            connection.close()

    def ticket_type(self, name: str) -> int:
        [(ticket_type,)] = self.rows("SELECT id FROM tickets_tickettype WHERE name = %s", name)
        return int(ticket_type)

    def connections(self, name: str, number: int) -> int:
        """Count Caddy's open connections to a replica."""
        [described] = [each for each in self.programs if each.name == f"{name}-{number}"]
        port = next(int(word) for word in described.argv if word.isdecimal() and int(word) > 1024)
        address = (compose.address(number), port)
        return sum(
            1
            for each in psutil.net_connections("tcp4")
            if each.raddr == address and each.status == "ESTABLISHED"
        )


@pytest.fixture(scope="module")
def composed(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """Start two each of web, logins, door, live, the workers and beat, and wait until they can sell.

    The tables exist already. That migrations create them from nothing is shown by each run of the tests.
    """
    folder = tmp_path_factory.mktemp("compose")
    shop, valkey = ports.any_free(), ports.any_free()
    served = {name: ports.any_free() for name in ("web", "logins", "door", "live")}
    with ExitStack() as stack:
        database_url = stack.enter_context(database("composed", template=MIGRATED))
        machine = Machine(
            folder,
            {
                "ENVIRONMENT": "production",
                "SECRET_KEY": secrets.token_urlsafe(50),
                "DATABASE_URL": database_url,
                "REDIS_URL": f"redis://:{secrets.token_urlsafe()}@127.0.0.1:{valkey}/0",
                "ALLOWED_HOSTS": "localhost",
                "CSRF_TRUSTED_ORIGINS": f"https://localhost:{shop}",
                "PAYMENT_GATEWAY": "sandbox",
                "EMAIL_URL": f"filemail:///{folder / 'mail'}",
                "HOLD_SECONDS": str(HOLD_SECONDS),
            },
        )
        building = stack.enter_context(ThreadPoolExecutor(1)).submit(machine.build)
        machine.run("secrets")
        children: list[Child] = []
        stack.callback(lambda: processes.stop(reversed(children)))
        children.append(processes.start(_valkey(machine, valkey), folder / "logs"))
        children[0].wait_ready()
        machine.run("migrate", ENVIRONMENT="development", DEMO_PASSWORD="not used")
        building.result()
        machine.run("static")
        addresses = {name: [compose.address(1), compose.address(2)] for name in served}
        resolver = stack.enter_context(name_server(addresses))
        programs = [machine.program(name, number, served.get(name, 0)) for name in OURS for number in (1, 2)]
        programs.append(_caddy(machine, shop, served, resolver))
        for described in programs:
            children.append(processes.start(described, folder / "logs"))
        for child in children:
            child.wait_ready()
        _load_events(machine)
        stack.enter_context(_trusting(folder))
        yield Composed(
            port=shop,
            programs=programs,
            children=children[1:],
            logs=folder / "logs",
            database_url=database_url,
            addresses=addresses,
        )


def test_two_of_everything_sell_each_ticket_once(composed: Composed) -> None:
    with composed.opened:
        _everything_is_ready(composed)
        _production_is_hardened(composed)
        forgotten = _reserve_and_forget(composed)
        _one_sale_is_right_everywhere(composed)
        _the_hold_ended_once(composed, forgotten)
        _nothing_was_done_twice(composed)
        _a_replica_may_die(composed)
    _all_stop_cleanly(composed)


def _everything_is_ready(system: Composed) -> None:
    ready = eventually(lambda: (r := system.get("/readyz")).status_code == 200 and r)
    assert ready.json()["missing"] == []  # type: ignore[union-attr]
    assert system.rows("SELECT count(*) > 0 FROM tickets_inventory WHERE sold > 0") == [(True,)]  # the demo's


def _production_is_hardened(system: Composed) -> None:
    answer = system.get("/api/schema/")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    assert system.get("/nowhere/").status_code == 404
    assert not system.get("/api/docs/", headers={"Host": "elsewhere.example.org"}).content
    page = system.get("/admin/login/")
    assert "Secure" in page.headers["Set-Cookie"]
    [style] = [word for word in page.text.split('"') if "/admin/css/base." in word]
    assert style != "/static/admin/css/base.css"  # its name contains a hash of its content
    assert system.get(style).headers["Cache-Control"].endswith("immutable")


def _reserve_and_forget(system: Composed) -> tuple[Screen, int]:
    buyer, ticket_type = system.buyer(), system.ticket_type("Only Back")
    screen = buyer.watch_me()
    assert buyer.reserve(ticket_type, 3).status_code == 201
    return screen, ticket_type


def _one_sale_is_right_everywhere(system: Composed) -> None:
    ticket_type = system.ticket_type("Only Front")
    [(event,)] = system.rows("SELECT event_id FROM tickets_tickettype WHERE id = %s", ticket_type)
    screens = [system.watch(f"/ws/events/{event}/") for _ in range(4)]
    buyers = [system.buyer() for _ in range(AMOUNT)]
    mine = [buyer.watch_me() for buyer in buyers]
    for replica in (1, 2):
        assert system.connections("live", replica) > 0
        assert system.connections("web", replica) > 0

    with ThreadPoolExecutor(AMOUNT) as at_once:
        answers = list(at_once.map(lambda buyer: buyer.reserve(ticket_type, 2), buyers))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 3
    for screen in screens:
        screen.until(lambda event: event["tickets"][0]["available"] == 0)

    winners = [
        (buyer, screen, answer.json()["id"])
        for buyer, screen, answer in zip(buyers, mine, answers, strict=True)
        if answer.status_code == 201
    ]
    with ThreadPoolExecutor(AMOUNT) as at_once:
        list(at_once.map(lambda won: _pay(won[0], won[2]), winners))
    for screen in screens:
        shown = screen.until(lambda event: event["tickets"][0]["sold"] == AMOUNT)
        assert shown["tickets"][0]["available"] == 0
    for _, screen, reservation in winners:
        me = screen.until(lambda me: [each["state"] for each in me["reservations"]] == ["validated"])
        assert me["reservations"][0]["id"] == reservation
        assert [each["payment_status"] for each in me["payments"]] == ["SUCCESS"]
    assert system.rows("SELECT held, sold FROM tickets_inventory WHERE ticket_type_id = %s", ticket_type) == [
        (0, 6)
    ]


def _pay(buyer: Buyer, reservation: int) -> None:
    """Send the payment three times, as an impatient buyer does."""
    payment = buyer.open_payment(reservation)["id"]
    for _ in range(3):
        buyer.pay(payment)
    buyer.payment_when(payment, "SUCCESS")


def _the_hold_ended_once(system: Composed, forgotten: tuple[Screen, int]) -> None:
    """Check that two beats and two upkeep workers release the tickets of a hold once."""
    screen, ticket_type = forgotten
    screen.until(lambda me: [each["state"] for each in me["reservations"]] == ["expired"])
    assert system.rows("SELECT held, sold FROM tickets_inventory WHERE ticket_type_id = %s", ticket_type) == [
        (0, 0)
    ]


def _nothing_was_done_twice(system: Composed) -> None:
    [(payments, tries, captured)] = system.rows(
        "SELECT count(*), max(try_number), count(*) FILTER (WHERE status = 'SUCCESS') FROM checkout_payment"
    )
    [(intents, charged)] = system.rows(
        "SELECT count(*), count(*) FILTER (WHERE outcome = 'succeeded') FROM sandbox.intents"
    )
    [(confirmed,)] = system.rows("SELECT count(*) FROM sandbox.requests WHERE body ? 'intent'")
    assert tries == 1
    assert payments == captured == intents == charged == confirmed
    wrong = system.rows(
        "SELECT inventory.* FROM tickets_inventory inventory JOIN (SELECT ticket_type_id,"
        " sum(quantity) FILTER (WHERE state IN ('held', 'paying')) AS held,"
        " sum(quantity) FILTER (WHERE state = 'validated') AS sold"
        " FROM tickets_reservation GROUP BY 1) made USING (ticket_type_id)"
        " WHERE inventory.held <> coalesce(made.held, 0) OR inventory.sold <> coalesce(made.sold, 0)"
    )
    assert wrong == []


def _a_replica_may_die(system: Composed) -> None:
    assert system.addresses is not None
    for name in ("web-1", "logins-1", "door-1", "live-1", "beat-1", "payments-1", "broadcasts-1", "upkeep-1"):
        system.child(name).kill()
    for name in ("web", "logins", "door", "live"):
        system.addresses[name].remove(compose.address(1))  # as Docker's name server does

    assert [system.get("/livez").status_code for _ in range(20)] == [200] * 20
    assert system.watch("/ws/events/").take()["type"] == "snapshot"
    assert system.get("/readyz").status_code == 200


def _all_stop_cleanly(system: Composed) -> None:
    ours = [child for child in system.children if child.running and child.program.name != "caddy"]
    assert len(ours) == len(OURS)
    since = time.monotonic()
    for child in ours:
        child.process.send_signal(signal.SIGTERM)
    ended = {child.program.name: child.process.wait(timeout=10) for child in ours}
    assert time.monotonic() - since < 10
    assert set(ended.values()) == {0}, ended


# The machine ------------------------------------------------------------------------------------------------


def _valkey(machine: Machine, port: int) -> Program:
    words = [
        word.replace(compose.SECRETS, str(machine.secrets / "valkey"))
        for word in compose.argv(_service("valkey"))
    ]
    assert words[0] == "valkey-server"
    here = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(machine.folder))
    url = machine.variables["REDIS_URL"]
    return Program(
        name="valkey",
        argv=(str(binaries.valkey()), *words[1:], *here),
        env={},
        cwd=machine.folder,
        ready=lambda: redis_answers(url),
    )


def _caddy(machine: Machine, shop: int, served: dict[str, int], resolver: int) -> Program:
    """Describe Caddy with its file. Only the name server and the port that redirects to TLS are changed."""
    file = machine.folder / "Caddyfile"
    text = (compose.ROOT / "overlord/embedded/Caddyfile").read_text()
    text = text.replace("admin off", f"admin off\n\thttp_port {ports.any_free()}")
    text = text.replace("dynamic a {", f"dynamic a {{\n\t\tresolvers 127.0.0.1:{resolver}")
    file.write_text(text)
    env = {
        **compose.services(machine.variables)["caddy"]["environment"],
        "OVERLORD_BIND": "127.0.0.1",
        "OVERLORD_STATIC": str(machine.static),
        "OVERLORD_PICTURES": str(machine.folder / "pictures"),
        **{f"OVERLORD_{name.upper()}_PORT": str(port) for name, port in served.items()},
        "HOME": str(machine.folder),
        "XDG_DATA_HOME": str(machine.folder),
    }
    return Program(
        name="caddy",
        argv=(str(binaries.caddy()), "run", "--config", str(file), "--adapter", "caddyfile"),
        env=env,
        cwd=machine.folder,
        ready=lambda: _authority(machine.folder).exists() and ports.taken(shop),
    )


def _load_events(machine: Machine) -> None:
    file = machine.folder / "events.json"
    file.write_text(EVENT)
    machine.sh(f"python manage.py load_events {file}", machine.environment({}))


@contextmanager
def _trusting(folder: Path) -> Iterator[None]:
    """Let clients trust the certificate authority that Caddy made for localhost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(_authority(folder)))
        assert ssl.create_default_context().cert_store_stats()["x509_ca"] > 0
        yield


def _authority(folder: Path) -> Path:
    return folder / "caddy" / "pki" / "authorities" / "local" / "root.crt"


def _service(name: str) -> dict[str, Any]:
    service: dict[str, Any] = compose.services()[name]
    return service
