from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "overlord.demo"
    label = "demo"
