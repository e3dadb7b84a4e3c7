from django.apps import AppConfig

from overlord.kernel import postgres_wait


class KernelConfig(AppConfig):
    name = "overlord.kernel"

    def ready(self) -> None:
        postgres_wait.install()
