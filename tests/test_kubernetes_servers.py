"""The examples of servers in deploy/kubernetes fit the application, and openings.py scales before a sale."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from django.conf import settings
from django.utils import timezone

from overlord.embedded import binaries, ports
from overlord.embedded.servers import PRIVATE_LOG
from overlord.redis_address import RedisAddress
from overlord.settings import env
from tests import compose, kubernetes
from tests.cluster import configs
from tests.kubernetes import FOLDER
from tests.system import eventually
from tickets.models import Inventory, TicketType

SERVERS = FOLDER / "overlays/servers"
SCRIPT = SERVERS / "valkey.sh"
OPENINGS = FOLDER / "components/openings"
HOSTS = ["valkey-0.valkey", "valkey-1.valkey", "valkey-2.valkey"]


def secrets() -> dict[str, str]:
    lines = (SERVERS / "secrets.env.template").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_postgresql_waits_for_a_standby_and_has_the_settings_of_compose() -> None:
    spec = kubernetes.of("overlays/servers", "Cluster")["postgres"]["spec"]
    assert spec["instances"] == 3
    assert spec["postgresql"]["synchronous"]["dataDurability"] == "required"
    _, *words = compose.argv(compose.services()["postgres"])
    theirs = dict(word.split("=") for word in words if word != "-c")
    ours = dict(spec["postgresql"]["parameters"])
    assert ours.pop("tcp_user_timeout") == str(
        configs.dynamic(synchronous=True)["postgresql"]["parameters"]["tcp_user_timeout"]
    )
    assert ours == theirs
    assert PRIVATE_LOG.items() <= ours.items()
    first = spec["bootstrap"]["initdb"]
    options = compose.services()["postgres"]["environment"]["POSTGRES_INITDB_ARGS"]
    assert options == (
        f"--encoding={first['encoding']} --locale-provider={first['localeProvider']}"
        f" --builtin-locale={first['builtinLocale']} --locale={first['locale']}"
    )


def test_the_role_has_the_time_outs_that_a_pooler_drops() -> None:
    first = kubernetes.of("overlays/servers", "Cluster")["postgres"]["spec"]["bootstrap"]["initdb"]
    *alter, grant = first["postInitApplicationSQL"]
    found = [re.findall(r"ALTER ROLE (\w+) SET (\w+) = (\d+)", line) for line in alter]
    assert {name: int(value) for [(_, name, value)] in found} == settings.DATABASE_TIMEOUTS
    assert {role for [(role, _, _)] in found} == {first["owner"]}
    assert grant == f"GRANT pg_read_all_stats TO {first['owner']}"


def test_the_addresses_lead_to_these_servers() -> None:
    given = secrets()
    pooler, direct = (urlsplit(given[name]) for name in ("DATABASE_URL", "DATABASE_DIRECT_URL"))
    [(name, document)] = kubernetes.of("overlays/servers", "Pooler").items()
    assert (pooler.hostname, pooler.port) == (name, 5432)
    assert document["spec"]["cluster"]["name"] == "postgres"
    assert (direct.hostname, direct.port) == ("postgres-rw", 5432)
    first = kubernetes.of("overlays/servers", "Cluster")["postgres"]["spec"]["bootstrap"]["initdb"]
    for address in (pooler, direct):
        assert (address.username, address.path) == (first["owner"], f"/{first['database']}")
    host: Any = RedisAddress(given["REDIS_URL"]).channel_host
    assert host["sentinels"] == [(each, 26379) for each in HOSTS]
    assert host["master_name"] == "overlord"


def test_the_pods_of_valkey_have_the_names_that_each_is_told() -> None:
    document = kubernetes.of("overlays/servers", "StatefulSet")["valkey"]
    service = kubernetes.of("overlays/servers", "Service")[document["spec"]["serviceName"]]
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert document["spec"]["replicas"] == len(HOSTS)
    image = compose.services()["valkey"]["image"]
    for container in document["spec"]["template"]["spec"]["containers"]:
        variables = {each["name"]: each.get("value") for each in container["env"]}
        assert variables["PEERS"].split() == HOSTS
        assert variables["ADDRESS"] == "$(POD).valkey"
        assert container["image"] == image
        assert container["command"] == ["sh", "/srv/valkey/valkey.sh", container["name"]]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True


# valkey.sh, with programs that only write down their arguments -------------------------------------------------


def programs_make(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        file = folder / name.replace("_", "-")
        file.write_text(text)
        file.chmod(0o755)


def started(folder: Path, kind: str, *, known: str = "", primary: str = "", password: str = "secret") -> str:
    """Return the configuration with which the script starts a server of the second machine.

    `known` is the primary that the Sentinels name, and `primary` the server that says that it is one.
    """
    programs_make(
        folder,
        valkey_cli=f"""#!/bin/sh
case "$*" in
*" -p 26379 sentinel "*) printf '%s\\n6379\\n' '{known}' ;;
"-e -h {primary} -p 6379 role") printf 'master\\n0\\n' ;;
*) printf 'slave\\n'; exit 1 ;;
esac
""",
        valkey_server='#!/bin/sh\ncat "$1"\n',
        sleep="#!/bin/sh\n",
    )
    variables = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "ADDRESS": HOSTS[1],
        "PEERS": " ".join(HOSTS),
        "VALKEY_PASSWORD": password,
        "VALKEY_FOLDER": str(folder),
    }
    done = subprocess.run(
        ["/bin/sh", str(SCRIPT), kind], env=variables, capture_output=True, text=True, timeout=30, check=False
    )
    return done.stdout if done.returncode == 0 else f"refused: {done.stderr}"


@pytest.mark.parametrize(
    ("known", "primary", "follows"),
    [
        ("", "", None),
        ("", HOSTS[0], HOSTS[0]),
        ("", HOSTS[2], HOSTS[2]),
        (HOSTS[2], "", HOSTS[2]),
        (HOSTS[2], HOSTS[0], HOSTS[2]),
        (HOSTS[1], "", None),
    ],
)
def test_a_valkey_follows_whom_the_sentinels_name_or_who_says_that_it_is_the_primary(
    tmp_path: Path, known: str, primary: str, follows: str | None
) -> None:
    lines = started(tmp_path, "server", known=known, primary=primary).splitlines()
    assert [line for line in lines if line.startswith("replicaof")] == (
        [f"replicaof {follows} 6379"] if follows else []
    )
    assert {"requirepass secret", "masterauth secret", f"replica-announce-ip {HOSTS[1]}"} <= set(lines)


def test_a_sentinel_has_the_settings_of_the_tested_cluster(tmp_path: Path) -> None:
    lines = started(tmp_path, "sentinel", primary=HOSTS[0]).splitlines()
    tried = configs.sentinel("kv1", data=tmp_path, password="secret").splitlines()
    wanted = {line for line in tried if "milliseconds" in line or "timeout" in line or "auth-pass" in line}
    assert len(wanted) == 3
    assert wanted <= set(lines)
    assert f"sentinel monitor overlord {HOSTS[0]} 6379 2" in lines


@pytest.mark.parametrize("password", ["", "two words", 'a"b'])
def test_a_password_that_the_file_would_misread_is_refused(tmp_path: Path, password: str) -> None:
    assert "VALKEY_PASSWORD" in started(tmp_path, "server", password=password)


# valkey.sh, with Valkey -----------------------------------------------------------------------------------------

# The images have the program; the packages of the tests have the server alone.
CLI = """#!{python} -IS
import os, socket, sys

_, _, host, _, port, *words = sys.argv[1:]
stream = socket.create_connection((host, int(port)), timeout=2).makefile("rwb", buffering=0)


def answer():
    kind, rest = (line := stream.readline())[:1], line[1:].strip()
    if kind == b"*":
        return [answer() for _ in range(int(rest))]
    if kind == b"$":
        return stream.read(int(rest) + 2)[:-2] if int(rest) >= 0 else b""
    return rest if kind in b"+:" else sys.exit(1)


def ask(*words):
    stream.write(f"*{{len(words)}}\\r\\n".encode())
    for word in words:
        stream.write(f"${{len(word)}}\\r\\n{{word}}\\r\\n".encode())
    return answer()


ask("AUTH", os.environ["REDISCLI_AUTH"])
found = ask(*words)
for each in found if isinstance(found, list) else [found]:
    print(each.decode() if isinstance(each, bytes) else "")
"""


class ThreeMachines:
    """A Valkey and a Sentinel on each of three addresses of this machine."""

    ADDRESSES = ("127.0.7.1", "127.0.7.2", "127.0.7.3")

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._server, self._sentinel = ports.any_free(), ports.any_free()
        text = re.sub(r"\b6379\b", str(self._server), SCRIPT.read_text())
        (folder / "valkey.sh").write_text(re.sub(r"\b26379\b", str(self._sentinel), text))
        programs_make(
            folder,
            valkey_cli=CLI.format(python=sys.executable),
            valkey_server=f'#!/bin/sh\necho "bind $ADDRESS" >>"$1"\nexec {binaries.valkey()} "$@"\n',
            sleep="#!/bin/sh\nexec /bin/sleep 0.3\n",
        )

    def start(self, number: int) -> None:
        for kind in ("server", "sentinel"):
            own = self._folder / f"{number}-{kind}"
            environment = {
                "PATH": f"{self._folder}:/usr/bin:/bin",
                "ADDRESS": self.ADDRESSES[number - 1],
                "PEERS": " ".join(self.ADDRESSES),
                "VALKEY_PASSWORD": "secret",
                "VALKEY_FOLDER": str(own),
            }
            argv = ("/bin/sh", str(self._folder / "valkey.sh"), kind)
            with own.with_suffix(".log").open("w") as log:
                process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)
            self._stack.callback(process.wait)
            self._stack.callback(process.kill)

    def role(self, number: int) -> tuple[str, str]:
        """Return what a server says it is, and whom it follows."""
        with self._asked(number, self._server) as client:
            kind, *rest = client.execute_command("ROLE")
            return (kind, rest[0] if kind == "slave" and rest[2] == "connected" else "")

    def named(self, number: int) -> str:
        """Return the primary that a Sentinel names."""
        with self._asked(number, self._sentinel) as client:
            return str(client.execute_command("SENTINEL", "get-master-addr-by-name", "overlord")[0])

    def agree(self, *numbers: int, on: int) -> bool:
        """Return whether these machines have one primary, whom their other servers follow."""
        primary = self.ADDRESSES[on - 1]
        try:
            return all(
                self.named(number) == primary
                and self.role(number) == (("master", "") if number == on else ("slave", primary))
                for number in numbers
            )
        except redis.RedisError:
            return False

    def _asked(self, number: int, port: int) -> redis.Redis:
        return redis.Redis(
            self.ADDRESSES[number - 1], port, password="secret", decode_responses=True, socket_timeout=5
        )


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[ThreeMachines]:
    with ExitStack() as stack:
        yield ThreeMachines(tmp_path, stack)


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only 127.0.0.1 is this machine")
class TestThreeMachinesThatStart:
    def test_the_first_is_the_primary(self, machines: ThreeMachines) -> None:
        for number in (3, 2, 1):
            machines.start(number)
        eventually(lambda: machines.agree(1, 2, 3, on=1))

    def test_without_the_first_the_second_is_and_stays_it_when_the_first_is_back(
        self, machines: ThreeMachines
    ) -> None:
        machines.start(3)
        machines.start(2)
        eventually(lambda: machines.agree(2, 3, on=2))
        machines.start(1)
        eventually(lambda: machines.agree(1, 2, 3, on=2))


# openings.py ---------------------------------------------------------------------------------------------------


def openings() -> Any:
    spec = spec_from_file_location("openings", OPENINGS / "openings.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("minutes", "draw", "soon"),
    [(None, False, False), (19, False, True), (21, False, False), (-29, False, True), (-31, False, False),
     (49, True, True), (51, True, False)],
)  # fmt: skip
def test_a_sale_that_opens_soon_is_found(
    ticket_type: TicketType, minutes: int | None, draw: bool, soon: bool
) -> None:
    assert settings.LOBBY_MINUTES == 30
    now = timezone.now()
    opens_at = None if minutes is None else now + timedelta(minutes=minutes)
    Inventory.objects.filter(ticket_type=ticket_type).update(opens_at=opens_at, line_first=draw)
    assert openings().sale_opens(now=now) is soon


class _Asked(BaseHTTPRequestHandler):
    """A server that keeps the one request that the script sends to a cluster's API."""

    def do_PATCH(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked = (self.path, dict(self.headers), json.loads(body))
        self.server.asked.append(asked)  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def api() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), _Asked)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_minimum_of_replicas_is_set(api: HTTPServer, tmp_path: Path) -> None:
    (tmp_path / "namespace").write_text("overlord")
    (tmp_path / "token").write_text("t")
    openings().replicas_set("web", 6, server=f"http://127.0.0.1:{api.server_port}", account=tmp_path)
    [(path, headers, body)] = api.asked  # type: ignore[attr-defined]
    assert path == "/apis/autoscaling/v2/namespaces/overlord/horizontalpodautoscalers/web"
    assert headers["Content-Type"] == "application/merge-patch+json"
    assert headers["Authorization"] == "Bearer t"
    assert body == {"spec": {"minReplicas": 6}}


def test_the_job_may_change_its_autoscalers_alone_and_knows_their_usual_numbers() -> None:
    folder = "components/openings"
    [job] = kubernetes.of(folder, "CronJob").values()
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    given = {word.split(":")[0]: tuple(map(int, word.split(":")[1:])) for word in container["command"][2:]}
    scaled = kubernetes.of("base", "HorizontalPodAutoscaler")
    for name, (usually, before) in given.items():
        assert scaled[name]["spec"]["minReplicas"] == usually
        assert usually < before <= scaled[name]["spec"]["maxReplicas"]
    [role] = kubernetes.of(folder, "Role").values()
    assert role["rules"] == [
        {
            "apiGroups": ["autoscaling"],
            "resources": ["horizontalpodautoscalers"],
            "resourceNames": list(given),
            "verbs": ["patch"],
        }
    ]
    [binding] = kubernetes.of(folder, "RoleBinding").values()
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": pod["serviceAccountName"]}]
    variables = {each["name"]: each for each in container["env"]}
    reads = {
        name for name in env.SECRETS if variables["OVERLORD_PROCESS"]["value"] in env.READ_BY.get(name, ())
    }
    secrets = {name for name, each in variables.items() if "valueFrom" in each}
    assert {"DATABASE_URL", "DATABASE_DIRECT_URL"} <= secrets <= reads | {"REDIS_URL"}
