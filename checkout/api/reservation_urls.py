"""The addresses that checkout adds to those of reservations."""

from django.urls import path

from checkout.api import views
from overlord.kernel import paths  # noqa: F401  (registers `id`)

urlpatterns = [path("reservations/<id:reservation_id>/return/", views.ReservationReturn.as_view())]
