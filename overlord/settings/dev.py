"""Settings of `bin/up`: it answers any host, and serves static files from where the checkout has them."""

from overlord.settings.base import *  # noqa: F403

ALLOWED_HOSTS = ["*"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
