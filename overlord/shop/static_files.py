"""The static files that Caddy serves. Each gets a name that contains a hash of its content, and compressed copies.

`manage.py collectstatic` writes them into STATIC_ROOT, with a manifest of their names. Each web process reads the
manifest when it starts.
"""

import gzip
import os
import shutil
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import brotli
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import HashedFilesMixin, ManifestStaticFilesStorage
from django.core.files.storage import Storage

COMPRESSED = {".css", ".html", ".js", ".json", ".svg", ".txt"}
SMALLEST = 200  # bytes; smaller files are not compressed, because this would save less than the headers need
# The quality of gzip and of Brotli. A higher quality of Brotli takes ten times as long, and saves only another 5 %.
QUALITY = 9

Paths = Mapping[str, tuple[Storage, str]]


class StaticFiles(ManifestStaticFilesStorage):
    """Collect files under names that contain a hash of their content, each also as `.gz` and `.br`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._addresses: dict[str, str] = {}

    def url(self, name: str, force: bool = False) -> str:  # type: ignore[override]
        """Return the address of a file. It is computed only once for each file."""
        if force:
            return super().url(name, force)
        if name not in self._addresses:
            self._addresses[name] = super().url(name)
        return self._addresses[name]

    def post_process(self, paths: Paths, dry_run: bool = False, **options: Any) -> Iterator[tuple]:  # type: ignore[type-arg]
        """Name and compress the collected files, unless the manifest has them all and is newer than each."""
        if dry_run or self._is_current(paths):
            return
        yield from super().post_process(paths, dry_run=dry_run, **options)
        for name in self.hashed_files.values():
            compress(Path(self.path(name)))

    def manifest_time(self) -> float:
        """Return when the manifest was written, in seconds since 1970; 0 when there is none."""
        try:
            return os.stat(self.path(self.manifest_name)).st_mtime
        except FileNotFoundError:
            return 0.0

    def _is_current(self, paths: Paths) -> bool:
        if {self.hash_key(self.clean_name(name)) for name in paths} != set(self.hashed_files):
            return False
        since = self.manifest_time()
        return all(source.get_modified_time(path).timestamp() < since for source, path in paths.values())


class EditedStaticFiles(StaticFiles):
    """Collect an edited file again when a page refers to it, so that an edit needs no restart."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._since = self.manifest_time()
        self._collected: dict[str, float] = {}  # by name: when the collected content was edited

    def url(self, name: str, force: bool = False) -> str:  # type: ignore[override]
        """Return the address of a file with its current content."""
        self._collect_if_edited(name)
        return super().url(name, force)

    def _collect_if_edited(self, name: str) -> None:
        source = _source(name)
        if source is None:
            return
        edited = os.stat(source).st_mtime
        if edited < self._collected.get(name, self._since):
            return
        target = Path(self.path(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copyfile(source, copy)
        copy.replace(target)
        # ManifestFilesMixin's own method would drop all other files from the manifest.
        for _ in HashedFilesMixin.post_process(self, {name: (self, name)}):
            compress(Path(self.path(self.stored_name(name))))
        self._addresses.clear()
        self._collected[name] = os.stat(source).st_mtime + 1e-6


def compress(file: Path) -> None:
    """Write the compressed forms of a file beside it, unless they exist or the file is too small."""
    if file.suffix not in COMPRESSED or not file.is_file() or file.stat().st_size < SMALLEST:
        return
    for suffix, pack in (
        (".gz", lambda content: gzip.compress(content, QUALITY, mtime=0)),
        (".br", lambda content: brotli.compress(content, quality=QUALITY)),
    ):
        packed = file.with_name(file.name + suffix)
        if not packed.exists():
            new = packed.with_name(f"{packed.name}.{os.getpid()}")
            new.write_bytes(pack(file.read_bytes()))
            new.replace(packed)


@cache
def _source(name: str) -> str | None:
    found = finders.find(name)
    return found if isinstance(found, str) else None
