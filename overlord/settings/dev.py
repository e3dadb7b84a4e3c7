"""What `bin/up` runs with: any host of one's own network, files served as they lie in the checkout."""

from overlord.settings.base import *  # noqa: F403

ALLOWED_HOSTS = ["*"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
