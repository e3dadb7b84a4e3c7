from django.apps import AppConfig


class CheckoutConfig(AppConfig):
    name = "checkout"

    def ready(self) -> None:
        from checkout import projections
        from realtime import streams

        streams.register("me", access="owner", project=projections.project_clients)
