"""HTTP: the API, the pages and the admin, served by Granian in threads."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "overlord.settings")

django = get_wsgi_application()  # sets Django up, so it comes before what imports REST framework

from overlord.kernel import database_check  # noqa: E402
from overlord.kernel.request_body import RequestBodyReader  # noqa: E402
from overlord.liveness import WebLiveness  # noqa: E402
from overlord.shop.shared_answers import SharedAnswers  # noqa: E402

database_check.start()
application = WebLiveness(SharedAnswers(RequestBodyReader(django)))
