"""The settings that all environments share. Their values come from `env.py`, which reads the variables."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import environ
import kombu
from celery.schedules import crontab
from csp.constants import NONE, SELF

from overlord.kernel import queue_health
from overlord.kernel.queues import ROUTES, Queue
from overlord.redis_address import RedisAddress
from overlord.settings import env, logs

ENVIRONMENT = env.ENVIRONMENT
BASE_DIR = env.ROOT
DATA_DIR = env.DATA_DIR
SECRET_KEY = env.SECRET_KEY

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.sitemaps",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "overlord.kernel",
    "overlord.embedded",
    "overlord.compose",
    "overlord.accounts",
    "overlord.accounts.old_tokens",
    "overlord.journal",
    "overlord.shop",
    "realtime",
    "tickets",
    "tickets.admission",
    "tickets.line",
    "checkout",
    "stats",
    "overlord.mailings",
    "overlord.box_office",
    "overlord.demo",
]

MIDDLEWARE = [
    "overlord.kernel.request_ids.RequestIdMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "overlord.kernel.security_headers.SecurityHeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "overlord.kernel.caching.PrivateByDefaultMiddleware",
    "overlord.kernel.slashes.TrailingSlashMiddleware",
    "overlord.kernel.sessions.SessionMiddleware",
    "overlord.shop.languages.LanguageMiddleware",
    "overlord.shop.content_security_policy.PagePolicyMiddleware",
    "overlord.shop.request_checks.RequestChecksMiddleware",
    "overlord.kernel.csrf.CsrfMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "overlord.accounts.second_factor.SecondFactorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "overlord.shop.error_pages.ErrorPageMiddleware",
]

ROOT_URLCONF = "overlord.urls"
WSGI_APPLICATION = "overlord.wsgi.application"
APPEND_SLASH = False  # TrailingSlashMiddleware serves both forms, for every method, without a redirect

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# PostgreSQL ----------------------------------------------------------------------------------------------

# Each thread keeps its connection. Before each request, the thread checks whether the server has closed the
# connection; this check needs no statement. If the server disappears without closing the connection, for example
# because the network is cut, this is noticed within ten seconds on an idle connection (keepalives), and within five
# during a statement. The server also notices within ten seconds that our machine has disappeared. With its default
# settings, it would keep our locks for two hours.
#
# A pooler ignores start-up options. So if DATABASE_URL leads to a pooler (then DATABASE_DIRECT_URL is set), the
# role of DATABASE_URL must have the time-outs. Each process checks this (overlord/kernel/database_check.py).
DATABASE_URL = env.DATABASE_URL
DATABASE_TIMEOUTS = {  # milliseconds
    "lock_timeout": 3_000,
    "statement_timeout": 15_000,
    "idle_in_transaction_session_timeout": 30_000,
}
_OPTIONS = {
    "application_name": "overlord",
    "keepalives": 1,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
}
_KEEPALIVES_OF_SERVER = {
    "tcp_keepalives_idle": _OPTIONS["keepalives_idle"],
    "tcp_keepalives_interval": _OPTIONS["keepalives_interval"],
    "tcp_keepalives_count": _OPTIONS["keepalives_count"],
    "tcp_user_timeout": _OPTIONS["tcp_user_timeout"],
}
_OF_SESSION = {
    "options": " ".join(
        f"-c {name}={value}" for name, value in {**DATABASE_TIMEOUTS, **_KEEPALIVES_OF_SERVER}.items()
    )
}
DATABASES: dict[str, dict[str, Any]] = {"default": {"ENGINE": "django.db.backends.dummy"}}
if env.DATABASE_URL:
    DATABASES["default"] = {
        **environ.Env.db_url_config(env.DATABASE_URL),
        "ENGINE": "overlord.kernel.postgresql",
        "CONN_MAX_AGE": None,
        "DISABLE_SERVER_SIDE_CURSORS": True,  # with a pooler, such a cursor would end with its transaction
        "OPTIONS": {**_OPTIONS, **env.DATABASE_OPTIONS, **({} if env.DATABASE_DIRECT_URL else _OF_SESSION)},
    }
# The settings for work that cannot run through a pooler: LISTEN, advisory locks, migrations. For this work, they
# replace the settings above.
DATABASE_DIRECT: dict[str, Any] = {}
if env.DATABASE_DIRECT_URL:
    DATABASE_DIRECT = {
        **environ.Env.db_url_config(env.DATABASE_DIRECT_URL),
        "ENGINE": "overlord.kernel.postgresql",
        "OPTIONS": {**_OPTIONS, **env.DATABASE_DIRECT_OPTIONS, **_OF_SESSION},
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

WORKER_CONNECTIONS = env.WORKER_CONNECTIONS  # shared by the threads of a Celery worker

# Redis (Valkey) ------------------------------------------------------------------------------------------

# All data in Redis may be lost. It is on the server of REDIS_URL. Only the messages to workers and the live
# messages can be on other servers.
REDIS_URL = env.REDIS_URL
REDIS_BROKER_URL = env.REDIS_BROKER_URL
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [RedisAddress(url).channel_host for url in env.REDIS_CHANNEL_URLS]},
    }
}

# Celery --------------------------------------------------------------------------------------------------
# A message contains only ids, and may be lost with Redis: tasks of beat find unfinished work again in PostgreSQL.
CELERY_BROKER_URL = RedisAddress(REDIS_BROKER_URL).broker_url
CELERY_BROKER_USE_SSL = RedisAddress(REDIS_BROKER_URL).broker_ssl or False
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# This concerns only tasks that acknowledge late, and we have none. Without it, a worker that loses Redis logs six
# lines which say that its tasks come again.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_WORKER_CONSUMER = "overlord.worker_connection:PromptConsumer"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Do not acknowledge messages in Redis. With acknowledgements, a worker takes no more messages while it has as
    # many unacknowledged messages as threads. A message whose acknowledgement failed would count for ever. After
    # some failures, the worker would take no more messages at all.
    "ack_emulation": False,
    "socket_timeout": 5,
    "socket_connect_timeout": 1,
    "health_check_interval": 3,
    **RedisAddress(REDIS_BROKER_URL).broker_options,
}
CELERY_TASK_PUBLISH_RETRY = False  # no request waits for a retry: beat's tasks find the work later
CELERY_TASK_DEFAULT_QUEUE = Queue.UPKEEP
# The exchange without a name delivers a message to the queue that the message names. Any other exchange has its
# bindings in Redis. If Redis lost them, messages would reach no queue until all processes were restarted.
CELERY_TASK_QUEUES = [kombu.Queue(queue, kombu.Exchange(""), routing_key=queue) for queue in Queue]
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_ROUTES = {task: {"queue": queue} for task, queue in ROUTES.items()}
# For the payments worker. The other workers get the option -c.
CELERY_WORKER_CONCURRENCY = env.PAYMENTS_AT_ONCE


def _every(seconds: int, task: str) -> dict[str, Any]:
    """Return an entry of beat's schedule for a task that runs once in this number of seconds.

    If no worker takes a message before the next one is due, the message expires.
    """
    options = {"queue": ROUTES[task], "expires": seconds}
    return {"task": task, "schedule": timedelta(seconds=seconds), "options": options}


def _nightly(hour: int, minute: int, task: str) -> dict[str, Any]:
    """Return an entry of beat's schedule for a task that runs once a day, at a time in UTC."""
    options = {"queue": ROUTES[task], "expires": 3600}
    return {"task": task, "schedule": crontab(hour=hour, minute=minute), "options": options}


def _probe(queue: Queue) -> dict[str, Any]:
    """Return an entry of beat's schedule for the probe of a queue."""
    return {
        "task": queue_health.PROBE_TASK,
        "schedule": timedelta(seconds=queue_health.PROBE_SECONDS),
        "options": {"queue": queue, "expires": 60},
    }


CELERY_BEAT_SCHEDULE = {
    "flush-marked-streams": _every(1, "realtime.flush"),
    "expire-holds": _every(5, "tickets.holds_expire"),
    "serve-lines": _every(5, "line.serve"),
    "send-turn-notices": _every(2, "line.turn_notices_send"),
    "send-messages": _every(5, "mailings.go_on"),
    "sample-stats": _every(1, "stats.sample"),
    "reconcile-charges": _nightly(3, 17, "checkout.charges_reconcile"),
    "prune-accounts": _nightly(3, 37, "accounts.rows_prune"),
    "prune-journal": _nightly(3, 32, "journal.rows_prune"),
    "prune-lines": _nightly(3, 27, "line.rows_prune"),
    "prune-mailings": _nightly(3, 42, "mailings.rows_prune"),
    "prune-tickets": _nightly(3, 47, "tickets.rows_prune"),
    "prune-checkout": _nightly(3, 57, "checkout.rows_prune"),
    "prune-stats": _nightly(3, 7, "stats.rows_prune"),
    "go-on-cancelling": _every(2, "checkout.cancellations_go_on"),
    "look-after-payments": _every(2, "checkout.look_after"),
    **{f"probe-{queue}": _probe(queue) for queue in Queue},
}

# Accounts ------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["overlord.accounts.backend.AccountBackend"]
PASSWORD_HASHERS = [
    "overlord.accounts.hashers.Argon2idHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",  # for old hashes, which the next log-in replaces
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "overlord.accounts.passwords.LengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
STAFF_SECOND_FACTOR = env.STAFF_SECOND_FACTOR
RATE_LIMITS = env.RATE_LIMITS
PROXIES = env.PROXIES
TRUSTED_PROXIES = env.TRUSTED_PROXIES
HOLDS_PER_BUYER = env.HOLDS_PER_BUYER
GUEST_HOLDS_PER_ADDRESS = env.GUEST_HOLDS_PER_ADDRESS
COOLING_EXPIRED = env.COOLING_EXPIRED
COOLING_SECONDS = env.COOLING_SECONDS
RETENTION = timedelta(days=env.RETENTION_DAYS)
STEPS_RETENTION = timedelta(days=env.STEPS_RETENTION_DAYS)
JOURNAL_RETENTION = timedelta(days=env.JOURNAL_RETENTION_DAYS)
TOKEN_LIFETIME = timedelta(days=env.TOKEN_DAYS)
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/event/reservations/"
CSRF_COOKIE_HTTPONLY = True  # no script needs the cookie, because forms contain the token
CSRF_FAILURE_VIEW = "overlord.shop.error_pages.csrf_failure"

# API -----------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    # The first class decides the status of the answer to a request that needs a log-in and has none: 401 for the
    # class of tokens, 403 for the class of sessions.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "overlord.accounts.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["overlord.kernel.rendering.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["overlord.kernel.rendering.JSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "overlord.kernel.rendering.Negotiation",
    "EXCEPTION_HANDLER": "overlord.kernel.problems.problem_response",
    "DEFAULT_SCHEMA_CLASS": "overlord.kernel.schema.Schema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Ticket Overlord",
    "DESCRIPTION": "Realtime ticket sales: reserve, pay, and watch it happen live.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "PATH_CONVERTER_OVERRIDES": {"id": int, "uuid_written": UUID},
    # A PATCH needs those fields that its serializer requires. Shapes made for PATCH would make all fields optional.
    "COMPONENT_SPLIT_PATCH": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # The name of a ticket's states in the schema. drf-spectacular cannot derive a name from the field `state`,
    # because reservations have a field of this name too, with other choices.
    "ENUM_NAME_OVERRIDES": {"TicketState": "tickets.admission.api.serializers.TICKET_STATES"},
}

# Selling -------------------------------------------------------------------------------------------------
HOLD_SECONDS = env.HOLD_SECONDS
LOBBY_MINUTES = env.LOBBY_MINUTES
STATS_PUBLIC = env.STATS_PUBLIC
METRICS_TOKEN = env.METRICS_TOKEN
DEMO_PASSWORD = env.DEMO_PASSWORD
PAYMENT_GATEWAY = env.PAYMENT_GATEWAY
STRIPE_SECRET_KEY = env.STRIPE_SECRET_KEY
STRIPE_PUBLISHABLE_KEY = env.STRIPE_PUBLISHABLE_KEY
STRIPE_WEBHOOK_SECRETS = env.STRIPE_WEBHOOK_SECRETS
STRIPE_API_BASE = env.STRIPE_API_BASE
SANDBOX_SECONDS = env.SANDBOX_SECONDS
SANDBOX_FAULTS: dict[str, str] = {}  # for tests: see checkout/gateways/sandbox.py

# Mail ----------------------------------------------------------------------------------------------------
vars().update(env.EMAIL)  # EMAIL_BACKEND, EMAIL_HOST and so on
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.DEFAULT_FROM_EMAIL
MAILINGS_PER_MINUTE = env.MAILINGS_PER_MINUTE

# Pages ---------------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
# The languages of pages, each with its name in that language. British English differs from English only in dates.
LANGUAGES = [("en", "English"), ("en-gb", "English (UK)"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "overlord" / "locale"]
TIME_ZONE = env.TIME_ZONE
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "static"  # Caddy serves this folder
MEDIA_URL = "/pictures/"
MEDIA_ROOT = env.PICTURES_DIR  # Caddy serves this folder
# An upload stays in memory, where its request is (overlord/kernel/request_body.py). So it needs no room in /tmp.
FILE_UPLOAD_MAX_MEMORY_SIZE = 12_000_000
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "overlord.shop.static_files.StaticFiles"},
}
PORT = env.PORT
BASE_URL = env.BASE_URL
ALLOWED_HOSTS = env.ALLOWED_HOSTS
CSRF_TRUSTED_ORIGINS = env.CSRF_TRUSTED_ORIGINS
# Pages can load only files of this site, and with the gateway Stripe also Stripe's form. A page itself can contain
# no style, and no script except the import map (overlord/shop/content_security_policy.py allows it by its hash).
_STRIPE = PAYMENT_GATEWAY == "stripe"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, *(["https://js.stripe.com"] if _STRIPE else [])],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF, *(["https://api.stripe.com"] if _STRIPE else [])],
        "frame-src": ["https://js.stripe.com", "https://hooks.stripe.com"] if _STRIPE else [NONE],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    },
}
# The paths that health checks and Prometheus request: from a process directly, without TLS, and with another host
# name than the shop's.
ASKED_FROM_WITHIN = ("livez", "readyz", "readyz/self", "metrics")
# Requests come only from Caddy, which overwrites this header if a client has sent it.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

LOGGING = logs.configure(level=env.LOG_LEVEL, json=env.PRODUCTION)
