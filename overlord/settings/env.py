"""The variables of the environment. This module reads and checks them one time, when the settings are imported.

A value comes from the environment of the process. If it is not there, it comes from the file `.env`. Outside of
production, it may also come from the file in which `manage.py up` keeps the addresses and secrets of its servers.
`.env.template` explains each variable.

What must stay true: only this module and the supervisor (`overlord/embedded/`) read these variables. A process
whose name is in OVERLORD_PROCESS keeps no secret that it does not need.
"""

import os
import re
from email import policy
from email.errors import ObsoleteHeaderDefect
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from overlord.kernel import time_zones
from overlord.settings import addresses, env_file

ROOT = Path(__file__).resolve().parents[2]


def _text(name: str, default: str) -> str:
    """Return a variable. An empty one counts as not set: Compose also sets the empty ones of `.env`.

    A value that begins with $ is a value too: `environ` would return the variable of this name.
    """
    return os.environ.get(name) or default


_missing: list[str] = []

env_file.read(ROOT / ".env")

# The secrets. Instead of NAME, an operator can set NAME_FILE to the path of a file with the value, for example of a
# mounted secret.
SECRETS = (
    "SECRET_KEY",
    "DATABASE_URL",
    "DATABASE_DIRECT_URL",
    "REDIS_URL",
    "REDIS_BROKER_URL",
    "REDIS_CHANNEL_URLS",
    "EMAIL_URL",
    "STRIPE_SECRET_KEY",
    "STRIPE_WEBHOOK_SECRETS",
    "METRICS_TOKEN",
    "DEMO_PASSWORD",
)

# The processes that need each secret. All other processes start without the secret, and remove it from their
# environment. Secrets without a line here are for all processes.
READ_BY = {
    "SECRET_KEY": ("web", "logins", "door", "live", "upkeep"),
    "DATABASE_URL": ("web", "logins", "door", "live", "payments", "broadcasts", "upkeep"),
    "DATABASE_DIRECT_URL": ("web", "logins", "door", "live", "payments", "broadcasts", "upkeep"),
    "EMAIL_URL": ("upkeep",),
    "STRIPE_SECRET_KEY": ("payments", "upkeep"),
    "STRIPE_WEBHOOK_SECRETS": ("web",),
    "METRICS_TOKEN": ("web",),
    "DEMO_PASSWORD": (),
}
PROCESSES = ("web", "logins", "door", "live", "payments", "broadcasts", "upkeep", "beat")

# The name of this process. It is empty for commands and for all processes of `bin/up`; these may read all secrets.
PROCESS = _text("OVERLORD_PROCESS", "")
if PROCESS and PROCESS not in PROCESSES:
    raise ImproperlyConfigured(f"OVERLORD_PROCESS is {PROCESS!r}; it must be one of {', '.join(PROCESSES)}.")


def _reads(name: str) -> bool:
    """Return whether this process needs a secret."""
    return not PROCESS or PROCESS in READ_BY.get(name, PROCESSES)


def _read_secret(name: str) -> None:
    """Set a secret to the content of the file NAME_FILE, if this process needs the secret and has none yet."""
    if not _reads(name):
        return
    file = os.environ.get(f"{name}_FILE")
    if not file or os.environ.get(name):
        return
    try:
        os.environ[name] = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{name}_FILE is {file!r}, which cannot be read: {error}") from None


for _name in SECRETS:
    _read_secret(_name)

ENVIRONMENT = _text("ENVIRONMENT", "development")
if ENVIRONMENT not in {"development", "test", "production"}:
    raise ImproperlyConfigured(f"ENVIRONMENT is {ENVIRONMENT!r}; it must be development, test or production.")
PRODUCTION = ENVIRONMENT == "production"


def _folder(name: str, default: str) -> Path:
    """Return a folder. A relative path begins at the checkout, because processes run in different folders."""
    text = _text(name, default)
    if text.startswith("~"):
        raise ImproperlyConfigured(
            f"{name} is {text!r}; write the whole path, because only a shell replaces ~."
        )
    return ROOT / text


# The folder with the data of the servers of `bin/up`, and the file in it with their addresses.
DATA_DIR = _folder("OVERLORD_DATA", ".overlord")
EMBEDDED_ENV = DATA_DIR / "env"
# The folder of the uploaded pictures, which Caddy serves.
PICTURES_DIR = _folder("OVERLORD_PICTURES", str(DATA_DIR / "pictures"))
if not PRODUCTION:
    env_file.read_written(EMBEDDED_ENV)
for _name in SECRETS:
    if not _reads(_name):
        os.environ.pop(_name, None)


def _required(name: str, how: str) -> str:
    """Return a variable, or "". If production lacks a variable it needs, add the advice `how` to `_missing`."""
    value = _text(name, "").strip(", ")
    if PRODUCTION and not value and _reads(name):
        _missing.append(f"{name} is not set. {how}")
    return value


def _list(name: str, how: str) -> list[str]:
    return [item.strip() for item in _required(name, how).split(",") if item.strip()]


DEVELOPMENT_SECRET_KEY = "development-only-" + "0" * 40
RANDOM = "python3 -c 'import secrets; print(secrets.token_urlsafe(50))'"
SECRET_KEY = _required("SECRET_KEY", f"Make one with: {RANDOM}")
if _reads("SECRET_KEY"):
    SECRET_KEY = SECRET_KEY or DEVELOPMENT_SECRET_KEY

# DATABASE_URL and REDIS_URL may be empty outside of production, before the first `bin/up`.
DATABASE_URL = _required(
    "DATABASE_URL",
    f"With Compose: postgres://overlord:PASSWORD@postgres:5432/overlord; make the password with: {RANDOM}",
)
REDIS_URL = _required(
    "REDIS_URL", f"With Compose: redis://:PASSWORD@valkey:6379/0; make the password with: {RANDOM}"
)
DATABASE_OPTIONS = addresses.postgres_options(DATABASE_URL) if DATABASE_URL else {}

# The address of PostgreSQL itself, if DATABASE_URL is the address of a pooler.
DATABASE_DIRECT_URL = _text("DATABASE_DIRECT_URL", "")
DATABASE_DIRECT_OPTIONS: dict[str, Any] = {}
if DATABASE_DIRECT_URL:
    DATABASE_DIRECT_OPTIONS = addresses.postgres_options(DATABASE_DIRECT_URL, variable="DATABASE_DIRECT_URL")
    addresses.check_same_database(DATABASE_URL, DATABASE_DIRECT_URL)
if REDIS_URL:
    REDIS_URL = addresses.redis_url(REDIS_URL)


def _redis_urls(name: str) -> list[str]:
    """Return the checked addresses of a variable, in which spaces separate them; REDIS_URL if it is empty."""
    return addresses.redis_urls(_text(name, "").split(), variable=name) or [REDIS_URL]


# The server with the messages to workers, and the servers among which the live messages are divided.
_brokers = _redis_urls("REDIS_BROKER_URL")
if len(_brokers) > 1:
    raise ImproperlyConfigured("REDIS_BROKER_URL must be one address, because a queue is on one server.")
REDIS_BROKER_URL = _brokers[0]
REDIS_CHANNEL_URLS = _redis_urls("REDIS_CHANNEL_URLS")

ALLOWED_HOSTS = _list("ALLOWED_HOSTS", "Name the hosts you serve: tickets.example.org")
for _host in ALLOWED_HOSTS:
    if not re.fullmatch(r"\*|\.?[^*/:\s]+|\[[0-9A-Fa-f:.]+\]", _host):  # no request would ever have this host
        raise ImproperlyConfigured(
            f"ALLOWED_HOSTS has {_host!r}; a host is like tickets.example.org, without https:// and port."
        )
CSRF_TRUSTED_ORIGINS = _list(
    "CSRF_TRUSTED_ORIGINS", "Name the addresses you serve, as browsers show them: https://tickets.example.org"
)

# Some values of the next two variables are dangerous: tickets would be free, or links to new passwords would be in
# the log. So production has no default for these variables.
_gateway = _required(
    "PAYMENT_GATEWAY", "stripe takes money; sandbox charges nobody, so that all tickets are free."
)
_email_url = _required(
    "EMAIL_URL",
    "smtp+tls://user:password@mail.example.org:587 sends mails.",
)

if _missing:
    raise ImproperlyConfigured("\n".join(_missing))
if PRODUCTION and _reads("SECRET_KEY") and (SECRET_KEY == DEVELOPMENT_SECRET_KEY or len(SECRET_KEY) < 50):
    raise ImproperlyConfigured(
        f"SECRET_KEY is a development one or shorter than 50 characters. Make one with: {RANDOM}"
    )
if PRODUCTION and not all(origin.startswith("https://") for origin in CSRF_TRUSTED_ORIGINS):
    raise ImproperlyConfigured(
        "Each of CSRF_TRUSTED_ORIGINS must begin with https://, because production sends cookies only by TLS."
    )

if PRODUCTION and _email_url.startswith("consolemail"):
    raise ImproperlyConfigured(
        "EMAIL_URL is consolemail://, which writes mails to the log, with links that set passwords. Production"
        " does not start with it."
    )

LOG_LEVEL = _text("LOG_LEVEL", "INFO").upper()
if LOG_LEVEL not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
    raise ImproperlyConfigured(f"LOG_LEVEL is {LOG_LEVEL!r}; it must be DEBUG, INFO, WARNING or ERROR.")


def _whole(name: str, default: int, *, least: int, most: int, of: str) -> int:
    try:
        value = int(_text(name, str(default)))
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number of {of}.") from None
    if not least <= value <= most:
        raise ImproperlyConfigured(f"{name} is {value}; it must be between {least} and {most} {of}.")
    return value


def _port(name: str) -> int | None:
    text = _text(name, "")
    if text and not (text.isdecimal() and 0 < int(text) < 65_536):
        raise ImproperlyConfigured(f"{name} is {text!r}; a port is a number from 1 to 65535.")
    return int(text) if text else None


# The port of the shop. None: `bin/up` chooses 8080 or the next free port, and keeps it for later runs.
PORT = _port("DJANGO_PORT")


def _base_url() -> str:
    url = _text("BASE_URL", "") or next(iter(CSRF_TRUSTED_ORIGINS), f"http://localhost:{PORT or 8080}")
    if not re.fullmatch(r"https?://[^/?#@*\s]+", url):
        raise ImproperlyConfigured(
            f"BASE_URL is {url!r}; it must be like https://tickets.example.org, without a path."
        )
    return url


# The shop's own address, for the links in mails.
BASE_URL = _base_url()

# The password of the two users that `load_demo` makes; `bin/up` generates one and shows it.
DEMO_PASSWORD = _text("DEMO_PASSWORD", "")

_stats_public = _text("STATS_PUBLIC", "false").strip().lower()
if _stats_public not in {*environ.Env.BOOLEAN_TRUE_STRINGS, "false", "off", "n", "no", "0"}:
    raise ImproperlyConfigured(f"STATS_PUBLIC is {_stats_public!r}; it must be true or false.")
STATS_PUBLIC = _stats_public in environ.Env.BOOLEAN_TRUE_STRINGS

# With this token, /metrics can be read through the front server. Without a token, it can be read only from a web
# process directly.
METRICS_TOKEN = _text("METRICS_TOKEN", "")
if METRICS_TOKEN and not re.fullmatch(r"[!-~]{20,}", METRICS_TOKEN):
    raise ImproperlyConfigured(
        f"METRICS_TOKEN must have 20 printable characters or more. Make one with: {RANDOM}"
    )

# The time zone of new events, and of times on pages that belong to no event.
TIME_ZONE = _text("TIME_ZONE", time_zones.UTC)
if not time_zones.is_time_zone(TIME_ZONE):
    raise ImproperlyConfigured(
        f"TIME_ZONE is {TIME_ZONE!r}; it must be UTC or an IANA name such as Europe/Berlin."
    )

HOLD_SECONDS = _whole("HOLD_SECONDS", 900, least=1, most=86_400, of="seconds")

# How long before the opening of a sale people can enter its line, if it opens by a draw.
LOBBY_MINUTES = _whole("LOBBY_MINUTES", 30, least=1, most=10_080, of="minutes")

# The number of our own proxies in front of the application: 1 means only Caddy.
PROXIES = _whole("PROXIES", 1, least=0, most=10, of="proxies")

# The networks of our proxies in front of Caddy. Caddy takes a client's address from a header only if one of these
# proxies sent it.
TRUSTED_PROXIES = " ".join(_text("TRUSTED_PROXIES", "").replace(",", " ").split())
try:
    for _network in TRUSTED_PROXIES.split():
        ip_network(_network)
except ValueError as _error:
    raise ImproperlyConfigured(f"TRUSTED_PROXIES: {_error}. Write networks: 10.0.0.0/8 192.0.2.7") from None
if TRUSTED_PROXIES and PROXIES < 2:
    raise ImproperlyConfigured(
        "TRUSTED_PROXIES names a proxy in front of Caddy: PROXIES must be 2 or more, counting Caddy."
    )

# Whether log-ins, sign-ups and other requests are limited: on, or, for load tests only, off.
_rate_limits = _text("RATE_LIMITS", "on")
if _rate_limits not in {"on", "off"}:
    raise ImproperlyConfigured(f"RATE_LIMITS is {_rate_limits!r}; it must be on or off.")
RATE_LIMITS = _rate_limits == "on"
if PRODUCTION and not RATE_LIMITS:
    raise ImproperlyConfigured(
        "RATE_LIMITS is off, which is for load tests. Production does not start with it."
    )

# How many unpaid orders one buyer may have, and how many reservations all guests at one network address may make
# within HOLD_SECONDS. If COOLING_EXPIRED orders of a buyer have expired in the last COOLING_SECONDS, the buyer
# cannot reserve.
HOLDS_PER_BUYER = _whole("HOLDS_PER_BUYER", 10, least=1, most=1000, of="orders")
GUEST_HOLDS_PER_ADDRESS = _whole("GUEST_HOLDS_PER_ADDRESS", 100, least=1, most=100_000, of="reservations")
COOLING_EXPIRED = _whole("COOLING_EXPIRED", 3, least=1, most=100, of="orders")
COOLING_SECONDS = _whole("COOLING_SECONDS", 1800, least=1, most=86_400, of="seconds")

# Who must show a second factor: nobody (off), staff before they move money or give rights (money), or all staff.
STAFF_SECOND_FACTOR = _text("STAFF_SECOND_FACTOR", "") or ("money" if PRODUCTION else "off")
if STAFF_SECOND_FACTOR not in {"off", "money", "staff"}:
    raise ImproperlyConfigured(
        f"STAFF_SECOND_FACTOR is {STAFF_SECOND_FACTOR!r}; it must be off, money or staff."
    )

# How many days rows are kept: for example ended holds and messages of gateways (RETENTION_DAYS), the steps of
# payments (STEPS_RETENTION_DAYS), and the entries of the journal (JOURNAL_RETENTION_DAYS).
RETENTION_DAYS = _whole("RETENTION_DAYS", 30, least=4, most=36_500, of="days")
STEPS_RETENTION_DAYS = _whole("STEPS_RETENTION_DAYS", 400, least=4, most=36_500, of="days")
JOURNAL_RETENTION_DAYS = _whole("JOURNAL_RETENTION_DAYS", 730, least=4, most=36_500, of="days")

# The most mails of organisers' messages that are sent in a minute.
MAILINGS_PER_MINUTE = _whole("MAILINGS_PER_MINUTE", 300, least=1, most=100_000, of="mails")

# How long an API token works after its log-in.
TOKEN_DAYS = _whole("TOKEN_DAYS", 30, least=1, most=3650, of="days")

# How many payments one payments worker processes at the same time, and how many connections to PostgreSQL the
# threads of a worker share.
PAYMENTS_AT_ONCE = _whole("PAYMENTS_AT_ONCE", 256, least=1, most=2_000, of="payments")
WORKER_CONNECTIONS = _whole("WORKER_CONNECTIONS", 8, least=1, most=100, of="connections")

# The gateway that takes the money, and the sender of mails.
PAYMENT_GATEWAY = _gateway or "sandbox"
if PAYMENT_GATEWAY not in {"sandbox", "stripe"}:
    raise ImproperlyConfigured(f"PAYMENT_GATEWAY is {PAYMENT_GATEWAY!r}; it must be sandbox or stripe.")
SANDBOX_SECONDS = _whole("SANDBOX_SECONDS", 0, least=0, most=15, of="seconds")
STRIPE_SECRET_KEY = _text("STRIPE_SECRET_KEY", "")
STRIPE_PUBLISHABLE_KEY = _text("STRIPE_PUBLISHABLE_KEY", "")
STRIPE_WEBHOOK_SECRETS = _text("STRIPE_WEBHOOK_SECRETS", "").replace(",", " ").split()
STRIPE_API_BASE = _text("STRIPE_API_BASE", "")


def _check_stripe() -> None:
    """Raise ImproperlyConfigured unless the keys look like Stripe's."""
    where = "You find it in Stripe's dashboard, under Developers."
    if _reads("STRIPE_SECRET_KEY") and not STRIPE_SECRET_KEY.startswith(("sk_", "rk_")):
        raise ImproperlyConfigured(f"STRIPE_SECRET_KEY must begin with sk_ or rk_. {where}")
    if not STRIPE_PUBLISHABLE_KEY.startswith("pk_"):
        raise ImproperlyConfigured(f"STRIPE_PUBLISHABLE_KEY must begin with pk_. {where}")
    if _reads("STRIPE_SECRET_KEY") and ("_test_" in STRIPE_SECRET_KEY) != (
        "_test_" in STRIPE_PUBLISHABLE_KEY
    ):
        raise ImproperlyConfigured(
            f"One of STRIPE_SECRET_KEY and STRIPE_PUBLISHABLE_KEY is a test key, so nobody could pay. {where}"
        )
    if _reads("STRIPE_WEBHOOK_SECRETS") and not (
        STRIPE_WEBHOOK_SECRETS and all(secret.startswith("whsec_") for secret in STRIPE_WEBHOOK_SECRETS)
    ):
        raise ImproperlyConfigured(
            f"STRIPE_WEBHOOK_SECRETS must be one or more whsec_..., separated by commas. {where}"
        )


if PAYMENT_GATEWAY == "stripe":
    _check_stripe()

# A process that must not send mails gets a mail server that does not exist. So if it tries to send one, this fails.
try:
    EMAIL = environ.Env.email_url_config(
        (_email_url or "consolemail://") if _reads("EMAIL_URL") else "smtp://none.invalid"
    )
except (ImproperlyConfigured, ValueError):  # the texts of these errors may contain the password
    raise ImproperlyConfigured(
        "EMAIL_URL cannot be read. It must be like smtp+tls://user:password@mail.example.org:587, with special"
        " characters in percent-encoding."
    ) from None


def _sender() -> str:
    """Return the sender of mails; raise ImproperlyConfigured if it is malformed, because each mail would fail."""
    text = _text("DEFAULT_FROM_EMAIL", "Ticket Overlord <tickets@localhost>")
    if "\n" not in text and "\r" not in text:
        read = policy.default.header_factory("From", text)
        # An address in an obsolete form, such as a name with a full stop, is accepted.
        if len(read.addresses) == 1 and all(isinstance(each, ObsoleteHeaderDefect) for each in read.defects):
            return text
    raise ImproperlyConfigured(
        f"DEFAULT_FROM_EMAIL is {text!r}; it must be one address such as Shop <tickets@example.org>. Put a name"
        ' in quotation marks if it has other characters than letters, digits and spaces: "Shop, Inc." <...>.'
    )


DEFAULT_FROM_EMAIL = _sender()
