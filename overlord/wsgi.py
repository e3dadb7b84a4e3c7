"""HTTP: the API, the pages and the admin, served by Granian."""

import os

from django.core.wsgi import get_wsgi_application

from overlord.liveness import WebLiveness

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "overlord.settings")

application = WebLiveness(get_wsgi_application())
