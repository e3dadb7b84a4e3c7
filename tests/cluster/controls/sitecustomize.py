"""Take the guard that CLUSTER_CONTROL names out of a process of ours: the run must then find losses."""

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

GUARDS = {
    "ignored-warnings": ("overlord.kernel.postgresql.base", "DatabaseWrapper", "commit_verify"),
    "plain-reads": ("overlord.kernel.db", "", "commits_await"),
}


class Taker:
    """A finder that imports the module as usual, and replaces the guard by a function that does nothing."""

    def __init__(self, module: str, holder: str, name: str) -> None:
        self._module, self._holder, self._name = module, holder, name

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname != self._module:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        loader: Any = spec.loader if spec else None
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            setattr(getattr(module, self._holder) if self._holder else module, self._name, lambda *_: None)

        loader.exec_module = exec_module
        return spec


if found := GUARDS.get(os.environ.get("CLUSTER_CONTROL", "")):
    sys.meta_path.insert(0, Taker(*found))  # type: ignore[arg-type]
