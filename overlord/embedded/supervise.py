"""The supervisor as a program. `manage.py up` reads the settings, and is then replaced by this program (`become`).

So the supervisor, which runs as long as the shop, has neither Django nor an app in its memory.
"""

import errno
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

from overlord.embedded.binaries import MissingBinaryError
from overlord.embedded.program import ROOT
from overlord.embedded.state import AlreadyRunningError, Folder, FolderError
from overlord.embedded.supervisor import Options, ShutdownSignals, Supervisor

# The disk is full, a quota is used up, or the disk is read-only.
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def become(*, folder: Path, options: Options) -> NoReturn:
    """Replace the running program by the supervisor of a data folder. The pid and the environment stay the same."""
    sys.stdout.flush()
    os.chdir(ROOT)
    argv = [sys.executable, "-m", "overlord.embedded.supervise", str(folder), json.dumps(asdict(options))]
    os.execv(sys.executable, argv)  # noqa: S606


def main(folder: Folder, options: Options) -> int:
    """Run the supervisor, and return the exit code. If one runs already, say so and return 0."""
    os.umask(0o077)  # so that only the system user who runs this may read data, logs and passwords
    signals = ShutdownSignals()
    signals.listen()
    try:
        folder.make()
        with folder.lock():
            return Supervisor(folder, options, signals).run()
    except AlreadyRunningError as running:
        print(f"Ticket Overlord is {running}.")
        return 0
    except (FolderError, MissingBinaryError) as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        print(
            f"{folder.path} cannot be written: {error.strerror}. Correct this and start again.",
            file=sys.stderr,
        )
        return 1


if __name__ == "__main__":
    raise SystemExit(main(Folder(Path(sys.argv[1])), Options(**json.loads(sys.argv[2]))))
