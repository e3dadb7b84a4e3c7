"""Static files are named by content, compressed once, and collected again after an edit."""

import gzip
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import brotli
import pytest
from django.contrib.staticfiles import finders
from django.core.files.storage import FileSystemStorage
from django.template import Context, Template
from django.templatetags.static import static

from overlord.shop import modules, static_files
from overlord.shop.static_files import EditedStaticFiles, StaticFiles

BEFORE, AFTER = "a { color: red } " * 50, "a { color: blue } " * 50


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a style sheet that the finders find, last edited an hour ago."""
    file = tmp_path / "source" / "one.css"
    file.parent.mkdir()
    write(file, BEFORE, age=3600)
    monkeypatch.setattr(finders, "find", lambda name: str(file.parent / name))
    static_files._source.cache_clear()
    yield file
    static_files._source.cache_clear()


@pytest.fixture
def collected(tmp_path: Path, source: Path, settings: Any) -> Path:
    settings.STATIC_ROOT = tmp_path / "static"
    collect(source)
    return tmp_path / "static"


def write(file: Path, text: str, *, age: float) -> None:
    file.write_text(text)
    when = file.stat().st_mtime - age
    os.utime(file, (when, when))


def collect(source: Path) -> list[Any]:
    """Collect as `collectstatic` does: copy, then name and compress. Return the results."""
    storage, origin = StaticFiles(), FileSystemStorage(source.parent)
    storage.delete(source.name)
    with origin.open(source.name) as content:
        storage.save(source.name, content)
    return list(storage.post_process({source.name: (origin, source.name)}))


def named(root: Path) -> str:
    return str(json.loads((root / "staticfiles.json").read_text())["paths"]["one.css"])


def test_a_file_is_named_by_its_content_and_compressed(collected: Path) -> None:
    name = named(collected)
    assert re.fullmatch(r"one\.[0-9a-f]{12}\.css", name)
    assert gzip.decompress((collected / f"{name}.gz").read_bytes()).decode() == BEFORE
    assert brotli.decompress((collected / f"{name}.br").read_bytes()).decode() == BEFORE
    assert StaticFiles().url("one.css") == f"/static/{name}"


def test_a_current_file_is_not_collected_again(collected: Path, source: Path) -> None:
    first = named(collected)
    assert collect(source) == []
    write(source, AFTER, age=-2)
    assert collect(source) != []
    assert named(collected) != first


def test_an_edited_file_is_collected_when_its_name_is_asked_for(collected: Path, source: Path) -> None:
    storage = EditedStaticFiles()
    first = storage.url("one.css")
    write(source, AFTER, age=-2)
    second = storage.url("one.css")
    assert second != first
    assert StaticFiles().url("one.css") == first  # control: this one reads only its manifest
    kept = collected / second.removeprefix("/static/")
    assert kept.read_text() == AFTER
    assert brotli.decompress(Path(f"{kept}.br").read_bytes()).decode() == AFTER


def test_a_new_file_needs_no_restart(collected: Path, source: Path) -> None:
    storage = EditedStaticFiles()
    write(source.with_name("two.css"), AFTER, age=-2)
    assert re.fullmatch(r"/static/two\.[0-9a-f]{12}\.css", storage.url("two.css"))


@pytest.mark.parametrize("size", [10, 10_000])
def test_only_files_that_get_smaller_are_compressed(tmp_path: Path, size: int) -> None:
    for suffix in (".css", ".png"):
        file = tmp_path / f"file{suffix}"
        file.write_bytes(b"x" * size)
        static_files.compress(file)
    packed = {"file.css.br", "file.css.gz"} if size > 200 else set()
    assert {file.name for file in tmp_path.iterdir()} == {"file.css", "file.png", *packed}


def test_each_module_is_loaded_with_all_that_it_imports() -> None:
    assert set(modules.loaded_with("shop/page.js")) == {
        "shop/keep-typed.js",
        "shop/live-badge.js",
        "shop/formats.js",
        "realtime/live.js",
    }
    for name in modules.MODULES:
        assert set(modules.loaded_with(name)) <= set(modules.MODULES)


def test_a_page_names_each_module_once() -> None:
    page = Template('{% load shop %}{% module "shop/page.js" %}{% module "line/live-line.js" %}')
    named = re.findall(r'(?:src|href)="([^"]+)"', page.render(Context()))
    loaded = {*modules.loaded_with("line/live-line.js"), "line/live-line.js"}
    assert "shop/page.js" in loaded
    assert sorted(named) == sorted(static(name) for name in loaded)
