from django.apps import AppConfig


class AdmissionConfig(AppConfig):
    name = "tickets.admission"
    verbose_name = "Admission"
