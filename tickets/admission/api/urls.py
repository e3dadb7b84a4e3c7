"""The paths of the API of tickets, of their keys and of the door."""

from django.urls import path

from overlord.kernel import paths  # noqa: F401  (registers the converters)
from tickets.admission.api import door_views, views

urlpatterns = [
    path("event/reservations/<id:reservation_id>/tickets/", views.ReservationTickets.as_view()),
    path("event/reservations/<id:reservation_id>/tickets/<id:ticket_id>/", views.ReservationTicket.as_view()),
    path(
        "event/reservations/<id:reservation_id>/tickets/<id:ticket_id>/hand-over/", views.HandOver.as_view()
    ),
    path("door/keys/", views.KeyList.as_view()),
    path("door/scans/", door_views.ScanMake.as_view()),
    path("door/scans/batch/", door_views.ScanBatch.as_view()),
    path("door/scans/<uuid_written:scan_id>/undo/", door_views.ScanUndo.as_view()),
    path("door/pictures/", door_views.PictureRead.as_view()),
    path("door/events/<id:event_id>/list/", door_views.DoorList.as_view()),
    path("door/events/<id:event_id>/scans/", door_views.EventScans.as_view()),
    path("door/events/<id:event_id>/tickets/", door_views.EventTickets.as_view()),
]
