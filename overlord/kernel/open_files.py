"""Tell whether this process may open more files. A socket counts as one, and is refused where there is no room."""

import os
import resource

SPARE = 8  # what else a process may need to open


def has_room() -> bool:
    """Return whether this process may open some more files.

    A new file gets the lowest number that is free, so only a process with nearly all files open gets a high one.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        number = os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return False
    os.close(number)
    return limit == resource.RLIM_INFINITY or number < limit - SPARE
