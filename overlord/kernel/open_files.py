"""Tell whether this process may open more files. A socket counts as a file: without room, none can be accepted."""

import os
import resource

SPARE = 8  # files that the process may need to open besides sockets


def has_room() -> bool:
    """Return whether this process may open more than SPARE files besides its open ones.

    A new file gets the lowest free number. So its number is high only if nearly all files are open.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        number = os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return False
    os.close(number)
    return limit == resource.RLIM_INFINITY or number < limit - SPARE
