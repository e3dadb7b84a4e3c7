"""Read the values of cookies in linear time, even with a Python that cannot do so itself (CVE-2024-7592).

Before 3.11.10 and 3.12.6, Python needs seconds for a value of 30 KB with many backslashes in quotation marks.
Anyone can send such a cookie, and it would occupy a thread of a web process, or the event loop of all sockets. This
code runs in all processes.
"""

import http.cookies
import re
import sys

_ESCAPED = re.compile(r"\\(?:([0-3][0-7][0-7])|(.))")


def install() -> None:
    """Let Django read cookies by `unquoted`, if this Python needs it."""
    if sys.version_info < (3, 11, 10) or (3, 12) <= sys.version_info < (3, 12, 6):
        http.cookies._unquote = unquoted  # type: ignore[assignment]


def unquoted(value: str) -> str:
    """Return a value without its quotation marks and backslashes, as newer versions of Python do."""
    if len(value) < 2 or not (value[0] == value[-1] == '"'):
        return value
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)) if found[1] else found[2], value[1:-1])
