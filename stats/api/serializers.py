"""Describe the answers of the stats API in the schema. `representation` builds the answers."""

from rest_framework import serializers


class EventStats(serializers.Serializer):
    id = serializers.IntegerField()
    event = serializers.CharField(help_text="The event's name.")
    currency = serializers.CharField()
    reservation_amount = serializers.IntegerField(help_text="The number of reservations made.")
    reserved_tickets = serializers.IntegerField(help_text="Tickets in these reservations.")
    sold_amount = serializers.IntegerField(help_text="The number of tickets sold.")
    profit = serializers.CharField(help_text="The revenue, minus refunds.")


class TicketTypeStats(serializers.Serializer):
    ticket_type = serializers.CharField(
        help_text="The name of the types. Types of all events with this name are counted together."
    )
    currency = serializers.CharField()
    reservation_amount = serializers.IntegerField()
    reservation_avg_amount = serializers.FloatField(
        help_text=("The average number of tickets in a reservation.")
    )
    sold_amount = serializers.IntegerField()
    profit = serializers.CharField()
