"""HTTP: the API, the pages and the admin, served by Granian."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "overlord.settings")

application = get_wsgi_application()
