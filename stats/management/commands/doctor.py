"""`manage.py doctor`: check what the system needs, and say what is wrong."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import timezone

from overlord.embedded.state import Folder
from overlord.findings import Finding


class Command(BaseCommand):
    help = "Check what bin/up needs and runs, or in production the whole system; exit with 1 if something is wrong."
    requires_system_checks = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        folder = Folder(settings.DATA_DIR.resolve())
        wrong = 0
        for finding in self._findings(folder):
            wrong += not finding.good
            mark = self.style.SUCCESS("ok   ") if finding.good else self.style.ERROR("wrong")
            self.stdout.write(f"{mark}  {finding.text}")
            self._logs_show(finding, folder)
        if wrong:
            raise SystemExit(1)
        self.stdout.write("Nothing is wrong.")

    def _findings(self, folder: Folder) -> Iterator[Finding]:
        if settings.ENVIRONMENT == "production":
            from stats import diagnosis

            return diagnosis.findings(now=timezone.now())
        from overlord.embedded import doctor  # here: it needs packages that our image does not contain

        return doctor.findings(folder)

    def _logs_show(self, finding: Finding, folder: Folder) -> None:
        if not finding.logs:
            return
        from overlord.embedded import doctor

        for name in finding.logs:
            if lines := doctor.log_tail(folder, name):
                self.stdout.write(f"       Last lines of {folder.logs / name}.log:\n{lines}\n")
