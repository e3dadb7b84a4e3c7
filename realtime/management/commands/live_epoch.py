"""`live_epoch`: begin a new epoch of versions and ids (`realtime/worker/epoch.py`).

`bin/up`, compose and the job `migrate` of Kubernetes run it each time after the migrations. The command `restore`
runs it too.
"""

from typing import Any

from django.core.management.base import BaseCommand

from realtime.worker.epoch import epoch_begin


class Command(BaseCommand):
    help = "Raise live versions, and after a restore the ids, above all that were given out before."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"Live versions begin at {epoch_begin()}.")
