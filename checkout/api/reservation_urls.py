"""The path of a reservation whose view is in checkout, because it needs the payment."""

from django.urls import path

from checkout.api import views
from overlord.kernel import paths  # noqa: F401  (registers the converter `id`)

urlpatterns = [path("reservations/<id:reservation_id>/return/", views.ReservationReturn.as_view())]
