"""Runs the pages' JavaScript in Node: what it decides, where no browser is needed to see it.

Each run is a process of its own, of a tenth of a second, so a module of tests has as few as it can.
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
    """Run a module, which imports the pages' modules by their names, and return what it hands to `done`."""
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
