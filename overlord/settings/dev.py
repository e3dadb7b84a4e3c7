"""Settings of `bin/up`: it answers any host, and collects a static file again when it was edited."""

from overlord.settings.base import *  # noqa: F403

ALLOWED_HOSTS = ["*"]
STORAGES = {
    **STORAGES,  # noqa: F405
    "staticfiles": {"BACKEND": "overlord.shop.static_files.EditedStaticFiles"},
}
