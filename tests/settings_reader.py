"""Load the module of the settings that reads the environment, in this process, as a new process would."""

import os
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]

Load = Callable[..., dict[str, Any]]


def reader(folder: Path) -> Load:
    """Return a function that loads `overlord/settings/env.py` with the given variables and no others.

    It loads a copy, in a separate checkout below the folder, which has no `.env` unless a test writes one.
    """
    copy = folder / "checkout" / "overlord" / "settings" / "env.py"
    copy.parent.mkdir(parents=True)
    shutil.copy2(ROOT / "overlord/settings/env.py", copy)

    def load(**variables: str) -> dict[str, Any]:
        with mock.patch.dict(os.environ, variables, clear=True):
            return runpy.run_path(str(copy))

    return load
