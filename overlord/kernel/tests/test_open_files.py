"""A process can tell whether it may open some more files."""

import subprocess
import sys

SCRIPT = """
import os, resource
from overlord.kernel import open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (40, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
said = [open_files.has_room()]
opened = []
while True:
    try:
        opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        break
    if open_files.has_room() != said[-1]:
        said.append(not said[-1])
print(said, open_files.has_room(), len(opened) > 20)
"""


def test_a_process_has_room_until_nearly_all_files_are_open() -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert ran.stdout.split("\n")[0] == "[True, False] False True"
