from django.apps import AppConfig


class EmbeddedConfig(AppConfig):
    name = "overlord.embedded"
    label = "embedded"
