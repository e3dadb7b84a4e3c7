from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from overlord.embedded import doctor
from overlord.embedded.state import Folder


class Command(BaseCommand):
    help = "Check everything that bin/up needs, and exit with code 1 if something is wrong."
    requires_system_checks = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        folder = Folder(settings.DATA_DIR.resolve())
        wrong = 0
        for finding in doctor.findings(folder):
            wrong += not finding.good
            mark = self.style.SUCCESS("ok   ") if finding.good else self.style.ERROR("wrong")
            self.stdout.write(f"{mark}  {finding.text}")
            for name in finding.logs:
                if lines := doctor.log_tail(folder, name):
                    self.stdout.write(f"       Last lines of {folder.logs / name}.log:\n{lines}\n")
        if wrong:
            raise SystemExit(1)
        self.stdout.write("Nothing is wrong.")
