import pytest

from overlord.embedded import disk


def test_a_disk_with_room_is_not_full(tmp_path):
    assert not disk.is_full(tmp_path)


def test_a_disk_with_less_room_than_needed_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "ROOM_BYTES", 10**18)

    assert disk.is_full(tmp_path)
    assert str(tmp_path) in disk.description(tmp_path)


@pytest.mark.parametrize("number", [28, 122], ids=["no inodes", "quota"])
def test_a_disk_on_which_no_file_can_be_written_is_full(tmp_path, monkeypatch, number):
    def refuse(**_options):
        raise OSError(number, "refused")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)

    assert disk.is_full(tmp_path)


def test_the_disk_of_a_deleted_folder_is_that_of_the_folder_around_it(tmp_path):
    deleted = tmp_path / "logs" / "deleted"

    assert not disk.is_full(deleted)
    assert str(deleted) in disk.description(deleted)
