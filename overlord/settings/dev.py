"""The settings of development: any host is allowed, and an edited static file is collected again."""

from overlord.settings.base import *  # noqa: F403

ALLOWED_HOSTS = ["*"]
STORAGES = {
    **STORAGES,  # noqa: F405
    "staticfiles": {"BACKEND": "overlord.shop.static_files.EditedStaticFiles"},
}
