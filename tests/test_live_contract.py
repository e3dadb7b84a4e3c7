"""docs/asyncapi.yaml describes every frame that is sent to sockets, and nothing else."""

from typing import Any

import jsonschema
import pytest
import yaml
from django.test import Client

from tests.live_contract import CONTRACT, check


def heartbeat(**members: Any) -> dict[str, Any]:
    frame = {"type": "heartbeat", "stream": "event.1", "version": 5, "server_time": "2026-01-01T00:00:00Z"}
    return {**frame, "data": {"live": True}, **members}


def test_the_contract_is_served_to_anyone() -> None:
    answer = Client().get("/api/asyncapi.yaml")
    assert answer.status_code == 200
    assert yaml.safe_load(answer.content) == CONTRACT


def test_every_reference_has_a_target() -> None:
    def look(part: Any) -> None:
        if isinstance(part, dict):
            if "$ref" in part:
                found: Any = CONTRACT
                for name in part["$ref"].removeprefix("#/").split("/"):
                    found = found[name]
            for value in part.values():
                look(value)
        elif isinstance(part, list):
            for value in part:
                look(value)

    look(CONTRACT)


def test_the_channels_are_the_addresses_that_are_served() -> None:
    from realtime.gateway.routing import _router

    served = {str(route.pattern) for route in _router.routes[:-1]}
    for channel in CONTRACT["channels"].values():
        pattern = channel["address"].strip("/").replace("{id}", r"(?P<id>[0-9]{1,19})")
        pattern = pattern.replace("{link}", r"(?P<link>[A-Za-z0-9_-]{1,100})")
        assert rf"^{pattern}/?\Z" in served
    assert len(served) == len(CONTRACT["channels"])


def test_a_heartbeat_agrees_with_the_contract() -> None:
    check(heartbeat())


@pytest.mark.parametrize(
    "members",
    [{"more": 1}, {"version": "5"}, {"data": {}}, {"data": {"live": 1}}, {"server_time": "yesterday"}],
)
def test_control_a_faulty_heartbeat_does_not_agree(members: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        check(heartbeat(**members))
