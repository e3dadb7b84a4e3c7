"""The command `translations`: write the texts of the code into the catalogues, or check them."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from overlord.shop import catalogues


class Command(BaseCommand):
    help = (
        "Write the texts of the code into the catalogue of each language and compile them. Texts without a "
        "translation are listed: translate them in the .po file and run this again."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check",
            action="store_true",
            help="write nothing; fail if a file is not up to date, or has a mistake",
        )

    def handle(self, *, check: bool, **_options: Any) -> None:
        wrong = False
        for language in catalogues.languages():
            for domain in (catalogues.PAGES, catalogues.SCRIPTS):
                catalogue = catalogues.updated(language, domain)
                content = catalogues.po(catalogue)
                compiled = catalogues.mo(content, language)
                for suffix, now in (("po", content), ("mo", compiled)):
                    file = catalogues.file_of(language, domain, suffix)
                    if file.exists() and file.read_bytes() == now:
                        continue
                    wrong = True
                    self.stdout.write(f"{file.name} of {language} {'differs' if check else 'was written'}.")
                    if not check:
                        file.parent.mkdir(parents=True, exist_ok=True)
                        file.write_bytes(now)
                for mistake in catalogues.mistakes(catalogue):
                    wrong = True
                    self.stdout.write(f"{language}: {mistake}")
        if check and wrong:
            raise SystemExit(1)
