"""Find out whether the disk of a folder is full, so that the supervisor can wait for room.

Somebody who makes room may delete the folder. Then its disk is that of the folder around it.
"""

import errno
import shutil
import tempfile
from pathlib import Path

ROOM_BYTES = 32_000_000  # two segments of PostgreSQL's write-ahead log
SAMPLE_BYTES = 1_000_000
NO_SPACE = "No space left on device"  # what a program writes into its log


def lacks_room(folder: Path) -> bool:
    """Return whether less than ROOM_BYTES are free. It costs very little, because it writes nothing."""
    return shutil.disk_usage(_existing(folder)).free < ROOM_BYTES


def is_full(folder: Path) -> bool:
    """Return whether no file can be written: the disk has no room or no inodes, or a quota is used up."""
    if lacks_room(folder):
        return True
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)) as file:
            file.write(bytes(SAMPLE_BYTES))
    except OSError as error:
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    return False


def description(folder: Path) -> str:
    """Return words about the full disk, for a sentence: "the disk that holds ... is full (3 MB free)"."""
    free = shutil.disk_usage(_existing(folder)).free / 1_000_000
    return f"the disk that holds {folder} is full ({free:.0f} MB free)"


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())
