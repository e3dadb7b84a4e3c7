"""The command `prune`: run at once the tasks that delete old rows each night."""

from typing import Any

from celery import current_app
from django.core.management.base import BaseCommand
from django.utils.module_loading import autodiscover_modules

PRUNES = ".rows_prune"  # the end of the name of each task that deletes old rows


def task_names() -> list[str]:
    """Return the names of the tasks that delete old rows, after loading the tasks of all apps."""
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
