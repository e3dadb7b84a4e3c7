"""The paths of the API of lines, below `/event/`."""

from django.urls import path

from overlord.kernel import paths  # noqa: F401  (registers the converter `id`)
from tickets.line.api import views

urlpatterns = [
    path("events/<id:event_id>/line/", views.LineEntry.as_view()),
    path("events/<id:event_id>/line/actions/", views.LineActions.as_view()),
    path("events/<id:event_id>/line/proof/", views.LineProof.as_view()),
]
