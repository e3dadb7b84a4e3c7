import json
import os
import stat
import subprocess
import sys

import environ
import pytest

from overlord.embedded.state import POSTGRES_FOLDER, AlreadyRunningError, Folder, FolderError


@pytest.fixture
def folder(tmp_path):
    folder = Folder(tmp_path / "a b" / ".overlord")
    folder.make()
    return folder


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_user_may_read_state_and_addresses(folder):
    folder.save(folder.load())
    folder.write_env({"REDIS_URL": "redis://:secret@127.0.0.1/0"})

    assert mode(folder.path) == 0o700
    assert [mode(folder.path / name) for name in ("state.json", "env")] == [0o600, 0o600]


def test_the_saved_state_is_loaded(folder):
    state = folder.load()
    state.ports["web"] = 4711
    folder.save(state)

    assert folder.load() == state


def test_each_new_state_has_passwords_of_its_own(folder):
    assert folder.load() != folder.load()


def test_a_damaged_state_file_says_what_to_do(folder):
    (folder.path / "state.json").write_text('{"ports": ')

    with pytest.raises(FolderError, match=r"manage\.py reset"):
        folder.load()


ENV = {
    "DATABASE_URL": "postgres://overlord:first-_@127.0.0.1:15432/overlord",
    "REDIS_URL": "redis://:second-_@127.0.0.1:16379/0",
    "SECRET_KEY": "third",
}
without_state = pytest.mark.parametrize("state", [None, '{"ports": '], ids=["lost", "damaged"])


@without_state
def test_passwords_are_found_again_in_the_env_file(folder, state):
    (folder.path / "postgres").mkdir()
    if state:
        (folder.path / "state.json").write_text(state)
    folder.write_env(ENV)

    found = folder.load()

    assert (found.postgres_password, found.valkey_password, found.secret_key) == (
        "first-_",
        "second-_",
        "third",
    )
    assert found.ports == {"postgres": 15432, "valkey": 16379}


@without_state
def test_data_of_nobody_is_found_again_by_the_env_file(folder, state):
    if state:
        (folder.path / "state.json").write_text(state)
    folder.write_env({**ENV, POSTGRES_FOLDER: "/var/lib/overlord-1234"})

    found = folder.load()

    assert (found.postgres_password, found.secret_key) == ("first-_", "third")
    assert found.external_folder == "/var/lib/overlord-1234"


@without_state
def test_with_servers_of_the_user_only_the_secret_key_is_found_again(folder, state):
    if state:
        (folder.path / "state.json").write_text(state)
    folder.write_env({"SECRET_KEY": "third"})

    found = folder.load()

    assert (found.secret_key, found.demo_loaded, found.ports) == ("third", True, {})
    assert found.postgres_password
    assert found.valkey_password


def test_no_new_password_is_made_for_data_of_nobody(folder):
    folder.write_env({"SECRET_KEY": "third", POSTGRES_FOLDER: "/var/lib/overlord-1234"})

    with pytest.raises(FolderError, match="The data is whole: restore the file"):
        folder.load()


def test_no_new_passwords_are_made_for_old_data(folder):
    (folder.path / "postgres").mkdir()

    with pytest.raises(FolderError, match="The data is whole: restore the file"):
        folder.load()


def test_a_damaged_state_file_can_be_removed(folder):
    (folder.path / "state.json").write_text('{"ports": ')

    folder.remove()

    folder.load()


def test_data_of_nobody_is_removed_though_the_state_file_is_lost(folder, tmp_path):
    external = tmp_path / "external"
    external.mkdir()
    folder.write_env({**ENV, POSTGRES_FOLDER: str(external)})

    folder.remove()

    assert not external.exists()


def test_the_env_file_is_read_as_it_was_written(folder):
    variables = {"DATABASE_URL": "postgres://a:b=c@127.0.0.1:1/d", "SECRET_KEY": "x_-y"}
    folder.write_env(variables)

    assert folder.env() == variables


def test_mail_is_kept_in_the_folder(folder):
    kept = environ.Env.email_url_config(folder.mail_url)

    assert kept["EMAIL_BACKEND"].endswith("filebased.EmailBackend")
    assert kept["EMAIL_FILE_PATH"] == str(folder.path / "mail")


def test_a_second_process_is_refused_and_told_which_one_runs(folder):
    with folder.lock():
        folder.announce(serving="http://localhost:8080")
        with pytest.raises(AlreadyRunningError) as refusal, folder.lock():
            pass

    assert (refusal.value.pid, refusal.value.serving) == (os.getpid(), "http://localhost:8080")


def test_the_lock_ends_with_its_process_even_when_it_is_killed(folder):
    locks_and_dies = (
        "import os, signal; from pathlib import Path; from overlord.embedded.state import Folder\n"
        f"with Folder(Path({str(folder.path)!r})).lock(): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", locks_and_dies], check=False)

    assert json.loads((folder.path / "lock").read_text())["pid"] != os.getpid()
    assert folder.running() is None


def test_removing_keeps_files_that_are_not_ours(folder):
    (folder.path / "notes.txt").write_text("mine")
    folder.save(folder.load())

    folder.remove()

    assert sorted(path.name for path in folder.path.iterdir()) == ["notes.txt"]


@pytest.mark.parametrize(
    "left",
    [
        "logs/web.log",
        "mail/1.log",
        "pictures/poster.jpg",
        "postgres.new-x1/password",
        "restore-x1/secrets.json",
        "state.json.new",
        "env.new",
    ],
)
def test_removing_leaves_nothing_that_a_run_or_a_killed_command_left(folder, left):
    file = folder.path / left
    file.parent.mkdir(exist_ok=True)
    file.write_text("secret")

    folder.remove()

    assert list(folder.path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_the_folder_of_another_user_is_refused_by_name(folder):
    os.chown(folder.path, 65534, 65534)

    with pytest.raises(FolderError, match="belongs to nobody"):
        folder.make()
