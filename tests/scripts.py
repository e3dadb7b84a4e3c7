"""Run JavaScript of the pages in Node, to test its decisions without a browser.

Each run starts a process, so a module of tests needs as few runs as possible.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from django.contrib.staticfiles import finders

from overlord.shop.modules import MODULES

NODE = shutil.which("node")
SECONDS = 60  # for a run on a busy machine
BEGIN = """
import { readFileSync } from "node:fs";
import { runInThisContext } from "node:vm";
const done = (said) => { console.log(JSON.stringify(said)); process.exit(); };
"""


def run(folder: Path, script: str) -> Any:
    """Run a module, which imports the pages' modules by name, and return the value that it passes to `done`."""
    for name in MODULES:
        copy = folder / "node_modules" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(source(name))
        (copy.parent / "package.json").write_text('{"type": "module"}')
    file = folder / "script.mjs"
    file.write_text(BEGIN + script)
    ran = subprocess.run([str(NODE), str(file)], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def source(name: str) -> str:
    """Return the text of a static file."""
    return Path(str(finders.find(name))).read_text(encoding="utf-8")
