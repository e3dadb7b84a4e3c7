from django.apps import AppConfig


class ComposeConfig(AppConfig):
    name = "overlord.compose"
    label = "compose"
