from django.apps import AppConfig


class MailingsConfig(AppConfig):
    name = "overlord.mailings"
    label = "mailings"

    def ready(self) -> None:
        from checkout import services as checkout
        from overlord.mailings import operations

        checkout.register_eraser(operations.person_forget)
