"""How often the server looks at its connections, beside Daphne's own."""

import json
import subprocess
import sys

from overlord.embedded import program


def test_connections_are_looked_at_every_ten_seconds() -> None:
    argv = [sys.executable, "-m", "realtime.tests.looks"]
    answer = subprocess.run(argv, cwd=program.ROOT, capture_output=True, text=True, check=True)
    seconds = json.loads(answer.stdout)
    assert seconds["ours"] == {"looked": [10, 20, 30, 40, 50, 60], "failed": [10]}
    assert seconds["daphne"] == {"looked": [*range(2, 62, 2)], "failed": [1]}
