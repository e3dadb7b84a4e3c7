"""Becomes another program, one that ends with the process that started it.

`processes.start` runs this file as a script, so it imports nothing of ours. Doing this here and not between
fork and exec keeps it safe whatever threads the parent has.

    python -I -S launcher.py PARENT SIGNAL self|namespace|nobody PROGRAM [ARGUMENT...]
"""

import ctypes
import os
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000


def main(parent: int, signal: int, identity: str, argv: list[str]) -> None:
    """Will take on the identity, tie this process's end to the parent's, and become the program."""
    if identity == "namespace":
        enter_namespace()
    elif identity == "nobody":
        become_nobody()
    if sys.platform == "linux":
        # After any change of identity, which clears it. The kernel sends it when the parent's thread ends.
        call("prctl", PR_SET_PDEATHSIG, signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("The process that wanted this program has ended.")
    try:
        os.execv(argv[0], argv)  # noqa: S606
    except OSError as error:
        sys.exit(f"{argv[0]} could not be started: {error.strerror}.")


def enter_namespace() -> None:
    """Will make root look like an ordinary user to this process, which PostgreSQL insists on.

    Outside, it stays root: nothing needs to be copied, and no file needs another owner.
    """
    call("unshare", CLONE_NEWUSER)
    nobody = 65534  # must have a name, for initdb
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{nobody} 0 1")
    Path("/proc/self/gid_map").write_text(f"{nobody} 0 1")


def become_nobody() -> None:
    """Will give up root for the user `nobody`, groups included."""
    import pwd

    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)


def call(function: str, *arguments: int) -> None:
    """Will call a function of the C library; raises OSError when it fails."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*(ctypes.c_ulong(argument) for argument in arguments)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
