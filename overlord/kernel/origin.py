"""Compare origins as browsers do: by scheme, host and port."""

from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


def is_same_origin(origin: str, *, scheme: str, host: str) -> bool:
    """Return whether an Origin header names the site `scheme://host`, in which `host` may have a port."""
    theirs = _parts(origin)
    return theirs is not None and theirs == _parts(f"{scheme}://{host}")


def _parts(origin: str) -> tuple[str, str, int] | None:
    try:
        split = urlsplit(origin)
        port = split.port or DEFAULT_PORTS.get(split.scheme)
    except ValueError:
        return None
    # An origin is `scheme://host[:port]` and nothing more.
    if not split.hostname or port is None or split.username is not None or split.path or split.query:
        return None
    return split.scheme, split.hostname.lower(), port
