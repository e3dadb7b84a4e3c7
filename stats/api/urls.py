"""The paths of the stats API, below `/stats/`."""

from django.urls import path

from stats.api import views

urlpatterns = [
    path("events/", views.EventStats.as_view()),
    path("events/top_popular/", views.TopPopular.as_view()),
    path("events/top_selling/", views.TopSelling.as_view()),
    path("events/top_profit/", views.TopProfit.as_view()),
    path("tickets/", views.TicketTypeStats.as_view()),
]
