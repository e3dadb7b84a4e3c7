from typing import Any

from celery import current_app
from django.core.management.base import BaseCommand
from django.utils.module_loading import autodiscover_modules

PRUNES = ".rows_prune"  # how the name of each task that prunes ends


def task_names() -> list[str]:
    """Return the names of the tasks that prune. Only a worker has loaded the apps' tasks by itself."""
    autodiscover_modules("tasks")
    return sorted(name for name in current_app.tasks if name.endswith(PRUNES))


class Command(BaseCommand):
    help = (
        "Delete rows that are no longer needed: ended sessions, old holds that were never paid, and the like."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        for name in task_names():
            for what, count in current_app.tasks[name]().items():
                self.stdout.write(f"{count:>9,} {what}")
