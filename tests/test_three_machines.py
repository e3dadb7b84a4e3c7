"""deploy/three-machines starts what docker-compose.yml starts, with the settings that `bin/cluster` tests.

No Docker is needed: both files are read and merged as Compose does, and checked by its schema.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from overlord.redis_address import RedisAddress
from tests import compose, settings_reader
from tests.cluster import configs, network, programs
from tests.compose import OURS, ROOT

FOLDER = ROOT / "deploy/three-machines"
MACHINES = ("machine1", "machine2", "machine3")


def template(name: str) -> dict[str, str]:
    lines = (FOLDER / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


ENV = {**template("machine.env.template"), "CSRF_TRUSTED_ORIGINS": "https://tickets.example.org"}


def override() -> dict[str, Any]:
    return compose.read(ENV, file=FOLDER / "compose.yml")


def both() -> dict[str, Any]:
    found: dict[str, Any] = compose.merged(compose.read(ENV), override())
    return found


def of_machines(text: str) -> str:
    """Return a text of the tested cluster, with the names and addresses of these machines."""
    for machine, database in zip(MACHINES, network.DATABASES, strict=True):
        text = text.replace(network.peer_address(database), ENV[f"ADDRESS_{machine[-1]}"])
        text = text.replace(database, machine)
    return text


@pytest.mark.parametrize("found", [override, both], ids=["the second file", "both"])
def test_the_files_are_valid(found: Any) -> None:
    jsonschema.Draft202012Validator(compose.schema()).validate(found())


def test_a_missing_variable_of_a_machine_is_named() -> None:
    for name in ("MACHINE", "ADDRESS", "ADDRESS_3", "PICTURES_SERVER"):
        with pytest.raises(LookupError, match=f"{name} is not set"):
            compose.read({**ENV, name: ""}, file=FOLDER / "compose.yml")


def test_our_processes_are_those_of_one_machine() -> None:
    alone, services = compose.services(ENV), both()["services"]
    changed = {name for name in alone if services[name] != alone[name]}
    assert changed == {"migrate", "web", "upkeep", "caddy", "postgres", "valkey"}
    for name in ("web", "upkeep", "caddy"):
        assert {**services[name], "volumes": [], "environment": {}} == {
            **alone[name],
            "volumes": [],
            "environment": {},
        }
    assert services["migrate"]["command"] == alone["migrate"]["command"]
    assert services["caddy"]["environment"] == {
        **alone["caddy"]["environment"],
        "OVERLORD_SITE": "http://:8080",
    }
    assert set(OURS) < set(services)


def test_the_pictures_are_shared_keep_their_owner_and_hold_nobody_up_for_ever() -> None:
    alone, found = compose.services(ENV), both()
    for name in ("web", "upkeep", "caddy"):
        *others, pictures = found["services"][name]["volumes"]
        assert others == [each for each in alone[name]["volumes"] if not each.startswith("pictures:")]
        assert (pictures["source"], pictures["target"]) == ("pictures", "/srv/pictures")
        assert pictures["volume"] == {"nocopy": True}
        assert pictures.get("read_only", False) is (name == "caddy")
    options = found["volumes"]["pictures"]["driver_opts"]["o"].split(",")
    assert {"addr=10.0.0.9", "rw", "soft"} <= set(options)


def test_patroni_has_the_settings_of_the_tested_cluster() -> None:
    ours = yaml.safe_load((FOLDER / "patroni.yml").read_text())
    tried = json.loads(
        configs.patroni("db1", data=Path("/d"), programs=Path("/p"), password="p", synchronous=True)
    )
    for each in (ours, tried):
        each["bootstrap"]["dcs"]["postgresql"]["parameters"].pop("shared_buffers")
    assert ours["bootstrap"]["dcs"] == tried["bootstrap"]["dcs"]
    assert ours["bootstrap"]["initdb"] == tried["bootstrap"]["initdb"]
    assert ours["restapi"]["listen"] == tried["restapi"]["listen"]
    for name in ("listen", "parameters"):
        assert ours["postgresql"][name] == tried["postgresql"][name]
    let_in = [line.replace(f"{network.PEERS}.0/24", "0.0.0.0/0") for line in tried["postgresql"]["pg_hba"]]
    assert ours["postgresql"]["pg_hba"] == let_in
    environment = both()["services"]["postgres"]["environment"]
    assert environment["PATRONI_ETCD3_HOSTS"].split(",") == [
        of_machines(each) for each in tried["etcd3"]["hosts"]
    ]
    for name in ("RESTAPI", "POSTGRESQL"):
        wanted = of_machines(tried[name.lower()]["connect_address"])
        assert environment[f"PATRONI_{name}_CONNECT_ADDRESS"] == wanted
    build = (FOLDER / "patroni.Dockerfile").read_text()
    assert all(package in build for package in programs.PATRONI)
    assert "STOPSIGNAL SIGTERM" in build.splitlines(), (
        "the image of PostgreSQL has SIGINT, which Patroni ignores"
    )
    assert re.findall(r"^FROM (\S+)", build, re.MULTILINE) == [compose.services()["postgres"]["image"]]


def test_etcd_has_the_settings_of_the_tested_cluster() -> None:
    ours = dict(word.split("=", 1) for word in both()["services"]["etcd"]["command"][1:])
    words = configs.etcd_words(Path("etcd"), "db1", Path("/var/lib/etcd"))[1:]
    tried = dict(of_machines(word).split("=", 1) for word in words)
    for name in ("--listen-client-urls", "--listen-peer-urls"):
        tried[name] = re.sub(r"//.*:", "//0.0.0.0:", tried[name])
    assert ours == tried


def test_haproxy_has_the_settings_of_the_tested_cluster() -> None:
    tried = configs.haproxy()
    for machine, database in zip(MACHINES, network.DATABASES, strict=True):
        address = f"{network.address(database)}:{configs.POSTGRES_PORT}"
        tried = tried.replace(address, f'"${{ADDRESS_{machine[-1]}}}:{configs.POSTGRES_PORT}"')
        tried = tried.replace(database, machine)
    ours = (FOLDER / "haproxy.cfg").read_text()
    assert "".join(line for line in ours.splitlines(True) if not line.startswith("#")) == tried
    assert {"ADDRESS_1", "ADDRESS_2", "ADDRESS_3"} <= both()["services"]["haproxy"]["environment"].keys()


def test_the_addresses_lead_to_these_servers(tmp_path: Path) -> None:
    database = urlsplit(ENV["DATABASE_URL"])
    assert (database.hostname, database.port) == ("haproxy", configs.PROXY_PORT)
    script = (FOLDER / "make_database.sh").read_text()
    assert f"CREATE ROLE {database.username} " in script
    assert f"CREATE DATABASE {database.path[1:]} OWNER {database.username};" in script
    assert f"GRANT pg_read_all_stats TO {database.username};" in script
    host: Any = RedisAddress(ENV["REDIS_URL"]).channel_host
    addresses = [ENV[f"ADDRESS_{number}"] for number in (1, 2, 3)]
    assert host["sentinels"] == [(each, configs.SENTINEL_PORT) for each in addresses]
    for name in ("valkey", "sentinel"):
        assert both()["services"][name]["environment"]["PEERS"].split() == addresses
    given = {name: ENV[name] for name in ("DATABASE_URL", "REDIS_URL", "TRUSTED_PROXIES", "PROXIES")}
    assert settings_reader.reader(tmp_path)(**given)["REDIS_URL"] == ENV["REDIS_URL"]


def test_patronis_passwords_reach_no_process_of_ours() -> None:
    services = both()["services"]
    assert services["postgres"]["env_file"] == [".env.patroni"]
    assert all(".env.patroni" not in str(service) for name, service in services.items() if name != "postgres")
    assert ".env.patroni" in (ROOT / ".gitignore").read_text().splitlines()
    assert not [name for name in ENV if name.startswith("PATRONI")]


def test_ports_are_published_in_the_private_network_only() -> None:
    ports = {name: service["ports"] for name, service in both()["services"].items() if "ports" in service}
    caddys = ports.pop("caddy")
    assert caddys == ["8080:8080"]
    assert ports.keys() == {"etcd", "postgres", "valkey", "sentinel"}
    assert all(port.startswith(f"{ENV['ADDRESS']}:") for found in ports.values() for port in found)


def test_each_server_is_bounded_and_may_do_no_more_than_it_needs() -> None:
    for name in ("etcd", "haproxy", "sentinel", "valkey", "postgres", "primary"):
        service = both()["services"][name]
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert "/tmp" in service["tmpfs"], name  # noqa: S108
        assert service["logging"] == {"driver": "local"}, name


def test_the_scripts_are_valid_shell() -> None:
    for script in (FOLDER / "make_database.sh", ROOT / "deploy/kubernetes/overlays/servers/valkey.sh"):
        subprocess.run(["/bin/sh", "-n", str(script)], check=True, timeout=30)
    assert (FOLDER / "make_database.sh").stat().st_mode & 0o111
