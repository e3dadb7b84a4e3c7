"""The configuration of the cluster's servers. Each function returns the text of a file or a command's words."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from overlord.embedded.servers import PRIVATE_LOG
from tests.cluster.network import APPS, DATABASES, PEERS, VALKEYS, address, peer_address

POSTGRES_PORT, REST_PORT, PROXY_PORT = 5432, 8008, 5000
ETCD_PORT, ETCD_PEER_PORT = 2379, 2380
VALKEY_PORT, SENTINEL_PORT = 6379, 26379
SENTINELS = (*VALKEYS, APPS[0])
MASTER_NAME = "overlord"
ROLE = "overlord"
TTL_SECONDS = 20


def etcd_words(program: Path, machine: str, data: Path) -> list[str]:
    """Return the command of a member of etcd, which serves the other servers only."""
    members = ",".join(f"{each}=http://{peer_address(each)}:{ETCD_PEER_PORT}" for each in DATABASES)
    client, peer = (f"http://{peer_address(machine)}:{port}" for port in (ETCD_PORT, ETCD_PEER_PORT))
    options = {
        "name": machine,
        "data-dir": str(data),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": members,
        "initial-cluster-state": "new",
        "heartbeat-interval": "250",
        "election-timeout": "2500",
        "auto-compaction-mode": "periodic",
        "auto-compaction-retention": "1h",
    }
    return [str(program), *(f"--{name}={value}" for name, value in options.items())]


def patroni(machine: str, *, data: Path, programs: Path, password: str, synchronous: bool) -> str:
    """Return the file of Patroni (JSON, which is YAML)."""
    return json.dumps(
        {
            "scope": "overlord",
            "name": machine,
            "restapi": {
                "listen": f"0.0.0.0:{REST_PORT}",
                "connect_address": f"{peer_address(machine)}:{REST_PORT}",
            },
            "etcd3": {"hosts": [f"{peer_address(each)}:{ETCD_PORT}" for each in DATABASES]},
            "bootstrap": {"dcs": dynamic(synchronous=synchronous), "initdb": initdb()},
            "postgresql": {
                "listen": f"0.0.0.0:{POSTGRES_PORT}",
                "connect_address": f"{peer_address(machine)}:{POSTGRES_PORT}",
                "data_dir": str(data),
                "bin_dir": str(programs),
                "pgpass": f"{data}.pgpass",
                "parameters": {"unix_socket_directories": ""},
                "authentication": {
                    "superuser": {"username": ROLE, "password": password},
                    "replication": {"username": "replicator", "password": password},
                },
                # Without the first two a server that comes back cannot rewind, without any error.
                "pg_hba": [
                    "local all all trust",
                    "host replication replicator 127.0.0.1/32 scram-sha-256",
                    f"host replication replicator {PEERS}.0/24 scram-sha-256",
                    "host all all 0.0.0.0/0 scram-sha-256",
                ],
            },
        },
        indent=1,
    )


def dynamic(*, synchronous: bool) -> dict[str, Any]:
    """Return the settings that Patroni keeps in etcd."""
    return {
        "ttl": TTL_SECONDS,
        "loop_wait": 5,
        "retry_timeout": 5,
        "primary_start_timeout": 0,
        "primary_stop_timeout": 10,  # otherwise a primary that is cut off may never end, and does not come back
        "maximum_lag_on_failover": 1 << 20,
        "member_slots_ttl": 3 * 24 * 3600,
        **commits_wait(synchronous),
        "postgresql": {
            "use_pg_rewind": True,
            "use_slots": True,
            "parameters": {
                "max_connections": 200,
                "wal_log_hints": "on",
                "max_wal_senders": 10,
                "max_replication_slots": 10,
                "wal_keep_size": "256MB",
                "max_slot_wal_keep_size": "8GB",
                "tcp_user_timeout": 5000,
                "wal_sender_timeout": "10s",
                "wal_receiver_timeout": "10s",
                "shared_buffers": "64MB",
                **PRIVATE_LOG,
            },
        },
    }


def commits_wait(synchronous: bool) -> dict[str, bool]:
    """Return Patroni's settings that let commits wait for a standby, also while there is none."""
    return {"synchronous_mode": synchronous, "synchronous_mode_strict": synchronous}


def initdb() -> list[Any]:
    """Return the options of initdb: those of `bin/up`."""
    return [
        {"encoding": "UTF8"},
        {"locale-provider": "builtin"},
        {"builtin-locale": "C.UTF-8"},
        {"locale": "C"},
    ]


def haproxy() -> str:
    """Return the file of HAProxy, which leads to the primary. Idle connections live for hours.

    A refused connection is not tried again: HAProxy would keep its client waiting for three seconds, while the
    client itself tries again at once and may reach the new primary.
    """
    servers = "\n".join(
        f"    server {each} {address(each)}:{POSTGRES_PORT} check port {REST_PORT}" for each in DATABASES
    )
    return f"""global
    maxconn 1000
defaults
    mode tcp
    retries 0
    timeout connect 2s
    timeout check 2s
    timeout client 1h
    timeout server 1h
    option clitcpka
    option srvtcpka
listen primary
    bind *:{PROXY_PORT}
    option httpchk OPTIONS /primary
    http-check expect status 200
    default-server inter 1s fastinter 500ms downinter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
"""


def valkey(machine: str, *, data: Path, password: str) -> str:
    """Return the file of Valkey; the second one begins as a replica of the first."""
    lines = [
        f"bind {address(machine)} 127.0.0.1",
        f"port {VALKEY_PORT}",
        f"requirepass {password}",
        f"masterauth {password}",
        f'dir "{data}"',
        "appendonly yes",
        'save ""',
    ]
    if machine != VALKEYS[0]:
        lines.append(f"replicaof {address(VALKEYS[0])} {VALKEY_PORT}")
    return _lines(lines)


def sentinel(machine: str, *, data: Path, password: str) -> str:
    """Return the file of a Sentinel, which it writes to."""
    return _lines([
        f"bind {address(machine)} 127.0.0.1",
        f"port {SENTINEL_PORT}",
        "protected-mode no",
        f'dir "{data}"',
        f"sentinel monitor {MASTER_NAME} {address(VALKEYS[0])} {VALKEY_PORT} 2",
        f"sentinel auth-pass {MASTER_NAME} {password}",
        f"sentinel down-after-milliseconds {MASTER_NAME} 3000",
        f"sentinel failover-timeout {MASTER_NAME} 10000",
    ])  # fmt: skip


def redis_url(password: str) -> str:
    """Return the address of Valkey, by its Sentinels."""
    hosts = ",".join(f"{address(each)}:{SENTINEL_PORT}" for each in SENTINELS)
    return f"sentinel://:{password}@{hosts}/0?master_name={MASTER_NAME}"


def caddyfile(text: str, names_port: int) -> str:
    """Return the Caddyfile, which finds our processes by the name server of the cluster."""
    assert text.count("dynamic a {") == 1
    return text.replace("dynamic a {", f"dynamic a {{\n\t\tresolvers 127.0.0.1:{names_port}")


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
