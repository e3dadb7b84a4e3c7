"""The application of the web processes: the API, the pages and the admin. Granian runs it in threads."""

import os

import django
from django.apps import apps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "overlord.settings")

if not apps.ready:  # a fork is set up already; a second set-up would write to memory that the forks share
    django.setup()  # before the imports of REST framework

from django.core.handlers.wsgi import WSGIHandler

from overlord.kernel import database_check
from overlord.kernel.request_body import RequestBodyReader
from overlord.liveness import WebLiveness
from overlord.shop.shared_answers import SharedAnswers

database_check.start()
application = WebLiveness(SharedAnswers(RequestBodyReader(WSGIHandler())))
