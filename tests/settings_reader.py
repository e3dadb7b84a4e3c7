"""Read the settings' part that reads the environment, in this process, as another process would."""

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
    """Return a function that reads `overlord/settings/env.py` with the variables it is given, and no others.

    It reads a copy in a checkout of its own below the folder, which has no `.env` unless a test writes one.
    """
    copy = folder / "checkout" / "overlord" / "settings" / "env.py"
    copy.parent.mkdir(parents=True)
    shutil.copy2(ROOT / "overlord/settings/env.py", copy)

    def load(**variables: str) -> dict[str, Any]:
        with mock.patch.dict(os.environ, variables, clear=True):
            return runpy.run_path(str(copy))

    return load
