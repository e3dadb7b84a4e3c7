from django.apps import AppConfig


class MailingsConfig(AppConfig):
    name = "overlord.mailings"
    label = "mailings"
