"""Machines that are network namespaces, with two links each: one for clients and one for the other servers.

A link that is down on the bridge's side drops everything, both ways and without an error, as a broken switch does.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path

CLIENTS, PEERS = "10.77.0", "10.77.1"
NETWORKS = {"c": CLIENTS, "p": PEERS}  # by the letter that ends the name of a link
PREFIX = "oc-"
HERE = 1  # our own number on both networks
NUMBERS = {"db1": 11, "db2": 12, "db3": 13, "kv1": 21, "kv2": 22, "app1": 31, "app2": 32, "front": 41}
DATABASES, VALKEYS, APPS = ("db1", "db2", "db3"), ("kv1", "kv2"), ("app1", "app2")
NAMESPACES = Path("/run/netns")


def address(machine: str) -> str:
    """Return where clients reach a machine."""
    return f"{CLIENTS}.{NUMBERS[machine]}"


def peer_address(machine: str) -> str:
    """Return where the other servers reach a machine."""
    return f"{PEERS}.{NUMBERS[machine]}"


def missing() -> list[str]:
    """Return the programs that are not installed."""
    return [name for name in ("ip", "apt-get", "dpkg-deb") if shutil.which(name) is None]


def inside(machine: str, *argv: str) -> list[str]:
    """Return the command that runs a program on a machine."""
    return [_ip(), "netns", "exec", PREFIX + machine, *argv]


def make() -> None:
    """Make all machines and their links; first remove those of an earlier run."""
    remove()
    for letter, network in NETWORKS.items():
        bridge = f"{PREFIX}{letter}"
        _run("link", "add", bridge, "type", "bridge")
        _run("address", "add", f"{network}.{HERE}/24", "dev", bridge)
        _run("link", "set", bridge, "up")
    for machine, number in NUMBERS.items():
        name = PREFIX + machine
        _run("netns", "add", name)
        _run("-n", name, "link", "set", "lo", "up")
        for letter, network in NETWORKS.items():
            outer, inner = f"{name}{letter}", f"eth-{letter}"
            _run("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", name)
            _run("link", "set", outer, "master", PREFIX + letter, "up")
            _run("-n", name, "address", "add", f"{network}.{number}/24", "dev", inner)
            _run("-n", name, "link", "set", inner, "up")


def cut(machine: str, *letters: str) -> None:
    """Cut links of a machine, all if none is named."""
    for letter in letters or NETWORKS:
        _run("link", "set", f"{PREFIX}{machine}{letter}", "down")


def heal(machine: str) -> None:
    """Let all links of a machine work again."""
    for letter in NETWORKS:
        _run("link", "set", f"{PREFIX}{machine}{letter}", "up")


def kill_all_on(machine: str) -> None:
    """Kill every process on a machine."""
    done = subprocess.run(
        [_ip(), "netns", "pids", PREFIX + machine], capture_output=True, text=True, check=False
    )
    for pid in done.stdout.split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            continue


def remove() -> None:
    """Kill what runs on the machines, and remove them and the bridges."""
    for machine in NUMBERS:
        if (NAMESPACES / (PREFIX + machine)).exists():
            kill_all_on(machine)
            _run("netns", "delete", PREFIX + machine)
        for letter in NETWORKS:
            _run("link", "delete", f"{PREFIX}{machine}{letter}", check=False)
    for letter in NETWORKS:
        _run("link", "delete", PREFIX + letter, check=False)


def _ip() -> str:
    return shutil.which("ip") or "ip"


def _run(*arguments: str, check: bool = True) -> None:
    done = subprocess.run([_ip(), *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
