"""The settings of the tests: they use real servers, and hash passwords quickly."""

from overlord.settings.base import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests"]  # noqa: F405  (for its command `flush`)
ALLOWED_HOSTS = ["*"]
RATE_LIMITS = False  # tests of the limits turn them on
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *PASSWORD_HASHERS]  # noqa: F405
STATIC_ROOT = DATA_DIR / "static"  # noqa: F405
STORAGES = {
    **STORAGES,  # noqa: F405
    # With this storage, the tests need no manifest.
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
