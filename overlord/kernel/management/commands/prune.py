from typing import Any

from celery import current_app
from django.core.management.base import BaseCommand

PRUNES = ".rows_prune"  # how the name of each task that prunes ends


class Command(BaseCommand):
    help = "Delete what nobody needs any more: ended sessions, old holds that were never paid, and the like."

    def handle(self, *_args: Any, **_options: Any) -> None:
        current_app.loader.import_default_modules()
        for name in sorted(name for name in current_app.tasks if name.endswith(PRUNES)):
            for what, count in current_app.tasks[name]().items():
                self.stdout.write(f"{count:>9,} {what}")
