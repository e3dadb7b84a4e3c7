"""A process touches a file while it works, and not while it is stuck."""

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from overlord import liveness
from overlord.liveness import STUCK_SECONDS, WebLiveness


def answer(_environ: dict[str, Any], _start_response: object) -> Iterable[bytes]:
    return [b"answer"]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(liveness.FILE_VARIABLE, str(tmp_path / "web"))
    return tmp_path / f"web.{os.getpid()}"


def test_a_process_touches_the_file_that_its_environment_names(file: Path) -> None:
    liveness.touch()

    assert file.exists()


def test_a_full_disk_is_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(liveness.FILE_VARIABLE, str(tmp_path / "no such folder" / "web"))

    liveness.touch()


def test_without_a_file_nothing_is_touched_and_no_thread_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(liveness.FILE_VARIABLE, raising=False)

    liveness.touch()
    WebLiveness(answer)

    assert "liveness" not in [thread.name for thread in threading.enumerate()]


def test_a_web_process_without_requests_is_not_stuck() -> None:
    assert not WebLiveness(answer).stuck(now=1e12)


def test_a_web_process_is_stuck_when_no_open_request_ends() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def wait(environ: dict[str, Any], start_response: object) -> Iterable[bytes]:
        begun.set()
        may_end.wait()
        return answer(environ, start_response)

    application = WebLiveness(wait)
    thread = threading.Thread(target=application, args=({}, None))
    thread.start()
    begun.wait()
    [since] = application._open.values()

    assert not application.stuck(now=since + STUCK_SECONDS)
    assert application.stuck(now=since + STUCK_SECONDS + 1)
    may_end.set()
    thread.join()
    assert not application.stuck(now=since + STUCK_SECONDS + 1)


def test_a_request_that_fails_is_no_longer_open() -> None:
    def fail(_environ: dict[str, Any], _start_response: object) -> Iterable[bytes]:
        raise RuntimeError("it fails")

    application = WebLiveness(fail)
    with pytest.raises(RuntimeError, match="it fails"):
        application({}, None)  # type: ignore[arg-type]

    assert not application.stuck(now=1e12)


def test_a_health_check_may_name_the_process_by_its_own_address(client: Client, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["tickets.example.org"]

    assert client.get("/livez/", headers={"host": "127.0.0.1:8000"}).status_code == 200
    assert client.get("/api/docs/", headers={"host": "127.0.0.1:8000"}).status_code == 400
