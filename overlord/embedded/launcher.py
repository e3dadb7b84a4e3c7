"""Replace this process by another program, which the kernel ends when the parent process ends.

`processes.start` runs this file as a script, so it imports no other module of ours. The supervisor cannot do this
work itself between fork and exec: it has threads, and in a fork of such a process only a few operations are safe.

    python -I -S launcher.py PARENT SIGNAL self|namespace|nobody PROGRAM [ARGUMENT...]
"""

import ctypes
import os
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000


def main(parent: int, signal: int, identity: str, argv: list[str]) -> None:
    """Switch to the identity, ask the kernel to end this process with its parent, and run the program."""
    if identity == "namespace":
        enter_namespace()
    elif identity == "nobody":
        become_nobody()
    if sys.platform == "linux":
        # This comes after the change of identity, which would clear the setting. The kernel sends the signal when
        # the thread that started this process ends.
        call("prctl", PR_SET_PDEATHSIG, signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("The process that started this program has ended.")
    try:
        os.execv(argv[0], argv)  # noqa: S606
    except OSError as error:
        sys.exit(f"{argv[0]} could not be started: {error.strerror}.")


def enter_namespace() -> None:
    """Enter a user namespace in which root looks like an ordinary user: PostgreSQL refuses to run as root.

    Outside of the namespace the user is still root. So no file has to be copied or to change its owner.
    """
    call("unshare", CLONE_NEWUSER)
    nobody = 65534  # initdb requires a user that has a name
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{nobody} 0 1")
    Path("/proc/self/gid_map").write_text(f"{nobody} 0 1")


def become_nobody() -> None:
    """Switch from root to the user `nobody` and its group."""
    import pwd

    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)


def call(function: str, *arguments: int) -> None:
    """Call a function of the C library; raise OSError when it fails."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*(ctypes.c_ulong(argument) for argument in arguments)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:])
