"""Register in the apps below: the buyer's stream, the orders that follow at a log-in, and the second factor."""

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
