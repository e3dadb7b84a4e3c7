"""Why a socket is closed. Sockets are accepted first: a browser sees no code of one refused before."""

from enum import IntEnum


class CloseCode(IntEnum):
    """The close codes of API.md, "Live"."""

    POLICY = 1008  # the client sent what is not spoken here
    TOO_BIG = 1009
    NOT_LOGGED_IN = 4401
    NOT_ALLOWED = 4403
    NO_SUCH_STREAM = 4404
    SLOW_OR_SILENT = 4408
    NOT_READY = 4503  # going away or not ready: the client comes again, with jitter
