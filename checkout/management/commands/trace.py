"""`manage.py trace RESERVATION`: print the history of an order, and the log lines about it."""

import re
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from checkout import history

REQUEST = re.compile(r'"?request_id"?[=:] ?"?([0-9a-f]{16})')


class Command(BaseCommand):
    help = (
        "Print the history of one order: the steps of its reservations, payments and refunds, and the log lines"
        " about them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("reservation", type=int, help="the number of any reservation of the order")
        parser.add_argument(
            "--logs", help="a file with log lines, or - for standard input; otherwise the logs of bin/up"
        )

    def handle(self, *_args: Any, reservation: int, logs: str | None, **_options: Any) -> None:
        facts = history.order_facts(reservation_id=reservation)
        if not facts:
            raise CommandError(f"There is no reservation {reservation}.")
        for fact in sorted(facts, key=lambda fact: fact.at):
            detail = f" ({fact.detail})" if fact.detail else ""
            self.stdout.write(f"{fact.at:%Y-%m-%d %H:%M:%S.%f}  {fact.what}{detail}")
        about = {(fact.kind, fact.number) for fact in facts}
        self.stdout.write("\nFrom the logs:")
        try:
            lines = list(_lines(logs))
        except OSError as error:
            raise CommandError(f"{error.filename} cannot be read: {error.strerror}.") from error
        for line in related(lines, about):
            self.stdout.write(line)


def _lines(logs: str | None) -> Iterator[str]:
    if logs == "-":
        yield from sys.stdin.read().splitlines()
        return
    folder = settings.DATA_DIR / "logs"
    files = [Path(logs)] if logs else [*folder.glob("*.log.1"), *folder.glob("*.log")]
    for file in files:
        with file.open(errors="replace") as opened:
            yield from (line.rstrip("\n") for line in opened)


def related(lines: list[str], about: set[tuple[str, int]]) -> list[str]:
    """Return the lines that name a row of `about` (kind and id), and all lines of the same requests, by time."""
    names = "|".join(rf'"?{kind}"?[=:] ?{number}\b' for kind, number in about)
    naming = re.compile(rf"(?<![\w]){'(?:' + names + ')'}")
    direct = [line for line in lines if naming.search(line)]
    requests = {found[1] for line in direct if (found := REQUEST.search(line))}
    same = [line for line in lines if (found := REQUEST.search(line)) and found[1] in requests]
    return sorted({*direct, *same}, key=_time_of)


def _time_of(line: str) -> str:
    found = re.search(r"\d{4}-\d\d-\d\dT[\d:.]+", line)
    return found[0] if found else ""
