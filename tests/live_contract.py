"""Check frames against docs/asyncapi.yaml."""

from pathlib import Path
from typing import Any

import jsonschema
import yaml

ROOT = Path(__file__).resolve().parents[1]
CONTRACT: dict[str, Any] = yaml.safe_load((ROOT / "docs/asyncapi.yaml").read_text())


def check(frame: dict[str, Any]) -> None:
    """Raise jsonschema.ValidationError unless the frame agrees with the contract."""
    messages = CONTRACT["channels"][frame["stream"].partition(".")[0]]["messages"]
    assert frame["type"] in messages, f"{frame['stream']} has no {frame['type']}"
    name = messages[frame["type"]]["$ref"].rpartition("/")[2]
    schema = {**CONTRACT["components"]["messages"][name]["payload"], "components": CONTRACT["components"]}
    jsonschema.Draft202012Validator(schema).validate(frame)
