from django.apps import AppConfig

from overlord.kernel import cookies, postgres_wait


class KernelConfig(AppConfig):
    name = "overlord.kernel"

    def ready(self) -> None:
        cookies.install()
        postgres_wait.install()
