from django.apps import AppConfig


class BoxOfficeConfig(AppConfig):
    name = "overlord.box_office"

    def ready(self) -> None:
        from django.core import checks

        from overlord.box_office.checks import roles_check

        checks.register(roles_check, checks.Tags.database)
