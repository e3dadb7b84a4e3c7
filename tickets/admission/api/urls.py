from django.urls import path

from overlord.kernel import paths  # noqa: F401  (registers `id`)
from tickets.admission.api import views

urlpatterns = [
    path("event/reservations/<id:reservation_id>/tickets/", views.ReservationTickets.as_view()),
    path("door/keys/", views.KeyList.as_view()),
]
