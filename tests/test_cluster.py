"""The parts of `bin/cluster`, without a cluster: its plan, its files, and the commands that start its processes."""

import itertools
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import yaml

from overlord.embedded import program
from tests.cluster import __main__ as command
from tests.cluster import configs, faults, network
from tests.cluster.crowd import TimedHistory, longest_behind
from tests.cluster.faults import LASTS, Fault
from tests.cluster.stage import on_machine


def test_each_kind_comes_once_before_any_comes_again_and_the_seed_decides_the_order() -> None:
    first, again, other = (
        list(itertools.islice(faults.plan(seed, Fault), 2 * len(Fault))) for seed in (7, 7, 8)
    )
    assert first == again != other
    assert set(first[: len(Fault)]) == set(first[len(Fault) :]) == set(Fault) == set(LASTS)


def test_faults_are_chosen_by_words_of_their_names() -> None:
    assert faults.named("node, switch") == [Fault.NODE, Fault.STANDBY, Fault.SWITCH, Fault.VALKEY]
    assert faults.named("") == list(Fault)
    assert faults.named("nothing of that name") == []


def test_a_cut_outlasts_the_lock_of_the_primary() -> None:
    assert min(LASTS[Fault.CUT], LASTS[Fault.SPLIT], LASTS[Fault.NODE]) > configs.TTL_SECONDS


def test_machines_have_addresses_of_their_own_and_names_that_the_kernel_takes() -> None:
    addresses = [of(each) for each in network.NUMBERS for of in (network.address, network.peer_address)]
    assert len(set(addresses)) == 2 * len(network.NUMBERS)
    assert all(len(f"{network.PREFIX}{each}c") <= 15 for each in network.NUMBERS)


@pytest.mark.parametrize("synchronous", [True, False])
def test_the_file_of_patroni_is_valid(synchronous: bool) -> None:
    text = configs.patroni(
        "db2", data=Path("/data"), programs=Path("/bin"), password="secret", synchronous=synchronous
    )
    read = yaml.safe_load(text)
    dynamic = read["bootstrap"]["dcs"]
    assert read == json.loads(text)
    assert dynamic["synchronous_mode"] is dynamic["synchronous_mode_strict"] is synchronous
    # Otherwise Patroni changes these values.
    assert dynamic["loop_wait"] + 2 * dynamic["retry_timeout"] <= dynamic["ttl"]


def test_caddy_takes_the_file_with_the_name_server_of_the_cluster(tmp_path: Path) -> None:
    file = tmp_path / "Caddyfile"
    file.write_text(configs.caddyfile(program.CADDYFILE.read_text(), 5353))
    described = program.caddy(
        8080,
        web_port=8000,
        logins_port=8001,
        live_port=8002,
        door_port=8003,
        static=tmp_path,
        data_dir=tmp_path,
    )
    words = [described.argv[0], "adapt", "--config", str(file), "--adapter", "caddyfile"]
    done = subprocess.run(words, env=dict(described.env), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"resolver":{"addresses":["127.0.0.1:5353"]}' in done.stdout


def test_our_processes_serve_other_machines_and_have_names_of_their_own() -> None:
    assert [
        on_machine(word, "app2") for word in ("127.0.0.1", "payments@here", "overlord.wsgi:application")
    ] == [
        "0.0.0.0",  # noqa: S104
        "payments@app2",
        "overlord.wsgi:application",
    ]


def test_the_longest_time_without_a_reservation_is_found_at_any_place(tmp_path: Path) -> None:
    history = TimedHistory(tmp_path / "history.jsonl")
    history.granted_at = [1.0, 2.0, 7.0, 8.0]
    assert history.longest_gap(1.5, 8.0) == (7.0, 5.0)
    assert history.longest_gap(0.0, 2.5) == (2.0, 1.0)
    assert history.longest_gap(7.5, 12.0) == (12.0, 4.0)
    assert history.longest_gap(20.0, 23.0) == (23.0, 3.0)
    assert history.rate(0.0, 2.5) == 2 / 2.5
    history.close()


def test_the_lag_of_a_screen_leaves_out_the_time_without_reservations() -> None:
    heard = [1.1, 4.0, 9.2, 9.5]
    behind = partial(longest_behind, heard=heard, now=12.0)
    assert behind([1.0, 3.5], stop=(0.0, 0.0)) == pytest.approx(0.5)
    assert behind([1.0, 4.2, 9.0], stop=(0.0, 0.0)) == pytest.approx(5.0), "all screens stood still"
    assert behind([1.0, 4.2, 9.0], stop=(4.2, 9.0)) == pytest.approx(0.2), "nothing was sold meanwhile"
    assert behind([9.4, 10.0], stop=(0.0, 0.0)) == pytest.approx(2.0), "nothing newer has come until now"


def test_where_no_cluster_can_run_the_reason_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "arguments", lambda: None)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert command.main() == command.NOT_HERE
    assert "needs Linux and root" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("control", ["ignored-warnings", "plain-reads"])
def test_a_control_takes_its_guard_out_of_a_process(control: str) -> None:
    assert control in command.GUARDS
    look = (
        "import sitecustomize, importlib, overlord.kernel.postgresql.standby;"
        f"module, holder, name = sitecustomize.GUARDS[{control!r}];"
        "found = importlib.import_module(module);"
        "print(getattr(getattr(found, holder) if holder else found, name).__name__)"
    )
    env = {"PYTHONPATH": str(Path(configs.__file__).with_name("controls")), "CLUSTER_CONTROL": control}
    words = [sys.executable, "-c", look]
    assert (
        subprocess.run(words, env=env, cwd=program.ROOT, capture_output=True, text=True).stdout
        == "<lambda>\n"
    )
