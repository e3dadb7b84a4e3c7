from django.apps import AppConfig


class BoxOfficeConfig(AppConfig):
    name = "overlord.box_office"
