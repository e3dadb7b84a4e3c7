"""A path below a reservation. Its view is in checkout, because it needs the reservation's payment."""

from django.urls import path

from checkout.api import views
from overlord.kernel import paths  # noqa: F401  (registers the converter `id`)

urlpatterns = [path("reservations/<id:reservation_id>/return/", views.ReservationReturn.as_view())]
