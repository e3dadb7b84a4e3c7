"""Tell other apps at the start: what a buyer's stream shows, and how a guest's orders follow at a log-in.

Also tell `second_factor` which permissions move money.
"""

from django.apps import AppConfig


class CheckoutConfig(AppConfig):
    name = "checkout"

    def ready(self) -> None:
        from checkout import projections, services
        from checkout.permissions import MOVES_MONEY
        from overlord.accounts import guests, second_factor
        from realtime import streams

        streams.register(streams.Kind.ME, access=streams.Access.OWNER, project=projections.project_buyers)
        guests.register_follower(services.orders_follow)
        second_factor.protect(MOVES_MONEY)
