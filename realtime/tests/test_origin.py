"""The comparison of origins, with scheme and port."""

from typing import Any

import pytest

from realtime.gateway import access
from realtime.gateway.access import is_of_this_site


def headers(
    origin_header: str, host: str = "tickets.example:8080", proto: str = "http"
) -> dict[bytes, bytes]:
    pairs = {b"origin": origin_header, b"host": host, b"x-forwarded-proto": proto}
    return {name: value.encode() for name, value in pairs.items()}


@pytest.fixture(autouse=True)
def _our_hosts(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["tickets.example", "[::1]"]


@pytest.mark.parametrize(
    "given",
    [
        headers("http://tickets.example:8080"),
        headers("http://TICKETS.example:8080"),
        headers("http://tickets.example", host="tickets.example"),
        headers("http://tickets.example", host="tickets.example:80"),
        headers("https://tickets.example", host="tickets.example:443", proto="https"),
        headers("https://tickets.example:443", host="tickets.example", proto="https"),
        headers("http://[::1]:8080", host="[::1]:8080"),
    ],
)
def test_the_site_itself_is_the_same(given: dict[bytes, bytes]) -> None:
    assert is_of_this_site(given)


@pytest.mark.parametrize(
    "given",
    [
        headers("http://tickets.example:8081"),
        headers("http://tickets.example"),
        headers("https://tickets.example:8080"),
        headers("http://tickets.example:8080", proto="https"),
        headers("http://evil.example:8080"),
        headers("http://tickets.example.evil.example:8080"),
        headers("http://evil.example:8080", host="evil.example:8080"),  # not a host of ours
        headers("null"),
        headers(""),
        headers("http://tickets.example:8080/path"),
        headers("http://user@tickets.example:8080"),
        headers("http://tickets.example:8080, http://evil.example"),
        headers("ws://tickets.example:8080"),
        headers("http://tickets.example:8080", host=""),
        {b"origin": b"http://tickets.example:8080"},
        {b"origin": b"\xff\xfe", b"host": b"tickets.example:8080"},
    ],
)
def test_any_other_origin_is_another_site(given: dict[bytes, bytes]) -> None:
    assert not is_of_this_site(given)


def test_control_without_the_port_another_server_of_the_host_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_host(theirs: str, *, scheme: str, host: str) -> bool:
        return theirs.rpartition(":")[0] == f"{scheme}://{host}".rpartition(":")[0]

    monkeypatch.setattr(access, "is_same_origin", by_host)
    assert is_of_this_site(headers("http://tickets.example:8081"))
