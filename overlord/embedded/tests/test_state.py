import json
import os
import stat
import subprocess
import sys

import pytest

from overlord.embedded.state import AlreadyRunningError, Folder, FolderError


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path / "a b" / ".overlord")
    folder.make()
    return folder


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_memory_and_addresses_are_the_users_alone(folder):
    folder.remember(folder.recall())
    folder.write_env({"REDIS_URL": "redis://:secret@127.0.0.1/0"})

    assert mode(folder.path) == 0o700
    assert [mode(folder.path / name) for name in ("state.json", "env")] == [0o600, 0o600]


def test_what_was_remembered_is_recalled(folder):
    memory = folder.recall()
    memory.ports["web"] = 4711
    folder.remember(memory)

    assert folder.recall() == memory


def test_every_folder_has_passwords_of_its_own(folder):
    assert folder.recall() != folder.recall()


def test_a_damaged_memory_says_what_to_do(folder):
    (folder.path / "state.json").write_text('{"ports": ')

    with pytest.raises(FolderError, match=r"manage\.py reset"):
        folder.recall()


def test_a_damaged_memory_can_be_removed(folder):
    (folder.path / "state.json").write_text('{"ports": ')

    folder.remove()

    folder.recall()


def test_the_env_file_is_read_as_it_was_written(folder):
    variables = {"DATABASE_URL": "postgres://a:b=c@127.0.0.1:1/d", "SECRET_KEY": "x_-y"}
    folder.write_env(variables)

    assert folder.env() == variables


def test_only_one_may_claim_a_folder_and_the_other_hears_who_did(folder):
    with folder.claim():
        folder.announce(serving="http://localhost:8080")
        with pytest.raises(AlreadyRunningError) as refusal, folder.claim():
            pass

    assert (refusal.value.pid, refusal.value.serving) == (os.getpid(), "http://localhost:8080")


def test_a_claim_ends_with_its_process_however_that_ends(folder):
    claims_and_dies = (
        "import os, signal; from pathlib import Path; from overlord.embedded.state import Folder\n"
        f"with Folder(Path({str(folder.path)!r})).claim(): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", claims_and_dies], check=False)

    assert json.loads((folder.path / "lock").read_text())["pid"] != os.getpid()
    assert folder.running() is None


def test_removing_leaves_alone_what_is_not_ours(folder):
    (folder.path / "logs").mkdir()
    (folder.path / "notes.txt").write_text("mine")
    folder.remember(folder.recall())

    folder.remove()

    assert sorted(path.name for path in folder.path.iterdir()) == ["notes.txt"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_anothers_folder_is_refused_by_name(folder):
    os.chown(folder.path, 65534, 65534)

    with pytest.raises(FolderError, match="belongs to nobody"):
        folder.make()
