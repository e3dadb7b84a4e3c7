from django.apps import AppConfig


class JournalConfig(AppConfig):
    name = "overlord.journal"
    label = "journal"
