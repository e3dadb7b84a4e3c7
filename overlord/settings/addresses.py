"""Check the addresses of PostgreSQL and Redis.

What must stay true: an address is refused if a client would ignore a part of it. Otherwise an address could ask for
a protection, such as TLS, and a client could connect without this protection.
"""

from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

import psycopg2
import psycopg2.extensions
from django.core.exceptions import ImproperlyConfigured

from overlord import redis_address

POSTGRES_SCHEMES = {"postgres", "postgresql"}
SSL_MODES = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
POSTGRES_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
# Options that are refused: they have their place in another part of the address, or the application sets them.
POSTGRES_REFUSED = {"host", "hostaddr", "port", "user", "password", "dbname", "service", "options"}

REDIS_SCHEMES = {"redis", "rediss"}
REDIS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
REDIS_OPTIONS = {*REDIS_FILES, "ssl_cert_reqs"}
SENTINEL_OPTIONS = {"master_name", "sentinel_password"}


def postgres_options(url: str, *, variable: str = "DATABASE_URL") -> dict[str, Any]:
    """Return the connection options of an address; raise ImproperlyConfigured if a part of it would be ignored."""
    parts = _parts_of_one_server(variable, url)
    if parts.scheme not in POSTGRES_SCHEMES:
        raise ImproperlyConfigured(
            f"{variable} must begin with postgres://; the application needs PostgreSQL."
        )
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for name in options:
        if name in POSTGRES_REFUSED or not _libpq_knows(name):
            raise ImproperlyConfigured(f"{variable} has the option {name}, which cannot be set there.")
    if options.get("sslmode", "prefer") not in SSL_MODES:
        raise ImproperlyConfigured(f"{variable}: sslmode must be one of {', '.join(sorted(SSL_MODES))}.")
    _check_files(variable, options, POSTGRES_FILES)
    return options


def check_same_database(url: str, direct_url: str) -> None:
    """Raise ImproperlyConfigured unless both addresses have the same database name.

    Their hosts may differ: one of them may be a pooler.
    """
    if urlsplit(url).path.strip("/") != urlsplit(direct_url).path.strip("/"):
        raise ImproperlyConfigured("DATABASE_DIRECT_URL must name the same database as DATABASE_URL.")


def redis_url(url: str, *, variable: str = "REDIS_URL") -> str:
    """Return an address of Redis that all clients understand in the same way; raise ImproperlyConfigured.

    With TLS, the returned address makes each client verify the server's certificate. Not all clients do this by
    themselves.
    """
    parts = _parts(variable, url)
    if parts.scheme in (redis_address.SENTINEL, redis_address.SENTINEL_BY_TLS):
        return _sentinel_url(url, variable, parts)
    parts = _parts_of_one_server(variable, url)
    if parts.scheme not in REDIS_SCHEMES:
        raise ImproperlyConfigured(
            f"{variable} must begin with redis:// or rediss://, or with sentinel:// or rediss+sentinel:// to ask"
            " Sentinels for the primary. For a cluster, name an address that always leads to its primary."
        )
    _check_number(variable, parts)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    _check_options(variable, options, REDIS_OPTIONS if parts.scheme == "rediss" else set())
    return _verified(variable, parts, options) if parts.scheme == "rediss" else url


def redis_urls(urls: list[str], *, variable: str) -> list[str]:
    """Return the checked addresses; raise ImproperlyConfigured, also if one address is there twice."""
    if len(set(urls)) < len(urls):
        raise ImproperlyConfigured(f"{variable} names an address twice.")
    return [redis_url(url, variable=variable) for url in urls]


def _sentinel_url(url: str, variable: str, parts: SplitResult) -> str:
    """Return the checked address of Sentinels; raise ImproperlyConfigured, also without a primary's name."""
    try:
        redis_address.hosts_of(parts.netloc)
    except ValueError as error:
        raise ImproperlyConfigured(f"{variable} cannot be read: {error}.") from None
    _check_number(variable, parts)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    by_tls = parts.scheme == redis_address.SENTINEL_BY_TLS
    _check_options(variable, options, SENTINEL_OPTIONS | (REDIS_OPTIONS if by_tls else set()))
    if not options.get("master_name"):
        raise ImproperlyConfigured(
            f"{variable}: Sentinels know the primary by a name; add ?master_name=NAME."
        )
    return _verified(variable, parts, options) if by_tls else url


def _verified(variable: str, parts: SplitResult, options: dict[str, str]) -> str:
    """Return an address by TLS with the options that make each client verify the server.

    Raise ImproperlyConfigured if an option would turn the check off, or if the file of an option is missing.
    """
    if options.setdefault("ssl_cert_reqs", "required") != "required":
        raise ImproperlyConfigured(f"{variable}: ssl_cert_reqs can only be required.")
    _check_files(variable, options, REDIS_FILES)
    return urlunsplit(parts._replace(query=urlencode(options)))


def _check_number(variable: str, parts: SplitResult) -> None:
    number = parts.path.strip("/")
    if number and not number.isdecimal():
        raise ImproperlyConfigured(f"{variable}: the path must be the number of a database, or empty.")


def _check_options(variable: str, options: dict[str, str], allowed: set[str]) -> None:
    for name in options.keys() - allowed:
        raise ImproperlyConfigured(f"{variable} has the option {name}, which cannot be set there.")


def _parts_of_one_server(name: str, url: str) -> SplitResult:
    """Return the parts of the address of one server; raise ImproperlyConfigured, also for a wrong port."""
    parts = _parts(name, url)
    try:
        _ = parts.port  # raises ValueError if the port is not a number
    except ValueError as error:
        raise _unreadable(name, error) from None
    return parts


def _parts(name: str, url: str) -> SplitResult:
    """Return the parts of an address; raise ImproperlyConfigured. Do not check ports: Sentinels have several."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _unreadable(name, error) from None
    if parts.fragment:
        raise ImproperlyConfigured(f"{name} has a # in it: write it as %23.")
    return parts


def _unreadable(name: str, error: ValueError) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"{name} cannot be read: {error}. Write special characters in percent-encoding."
    )


def _libpq_knows(option: str) -> bool:
    try:
        psycopg2.extensions.make_dsn(**{option: ""})
    except psycopg2.ProgrammingError:
        return False
    return True


def _check_files(name: str, options: dict[str, str], files: tuple[str, ...]) -> None:
    """Raise ImproperlyConfigured if a file of an option is missing. "system" means the system's certificates."""
    for option in files:
        file = options.get(option, "system")
        if file != "system" and not Path(file).is_file():
            raise ImproperlyConfigured(f"{name}: {option} names {file}, which does not exist here.")
