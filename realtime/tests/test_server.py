"""How our server differs from Daphne's own: how often it looks at connections, and who has a socket's options."""

import json
import subprocess
import sys
from typing import Any

from overlord.embedded import program


def printed_by(module: str) -> Any:
    """Run a module as a program; return the JSON that it prints."""
    argv = [sys.executable, "-m", module]
    answer = subprocess.run(argv, cwd=program.ROOT, capture_output=True, text=True, check=True)
    return json.loads(answer.stdout)


def test_connections_are_looked_at_every_ten_seconds() -> None:
    seconds = printed_by("realtime.tests.looks")
    assert seconds["ours"] == {"looked": [10, 20, 30, 40, 50, 60], "failed": [10]}
    assert seconds["daphne"] == {"looked": [*range(2, 62, 2)], "failed": [1]}


def test_a_socket_has_daphnes_options_without_a_copy_of_its_own() -> None:
    seen = printed_by("realtime.tests.options")
    options = seen["ours"]["options"]
    assert options == seen["daphne"]["options"]
    assert (options["autoPingTimeout"], options["maxFramePayloadSize"]) == ("7", "1234")
    assert seen["ours"]["own"] == []
    assert seen["daphne"]["own"] == [*options]
