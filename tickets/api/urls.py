"""The paths of the API of events and reservations, below `/event/`."""

from django.urls import path

from overlord.kernel import paths  # noqa: F401  (registers the converter `id`)
from tickets.api import views

urlpatterns = [
    path("events/", views.EventList.as_view()),
    path("events/<id:event_id>/", views.EventDetail.as_view()),
    path("tickets/<id:ticket_type>/", views.TicketTypeDetail.as_view()),
    path("reservations/", views.ReservationList.as_view()),
    path("reservations/batch/", views.ReservationBatch.as_view()),
    path("reservations/<id:reservation_id>/", views.ReservationDetail.as_view()),
    path("reservations/<id:reservation_id>/extend/", views.ReservationExtend.as_view()),
]
