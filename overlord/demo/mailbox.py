"""Read the e-mails of a shop that keeps them as files and sends none.

Django's file-based e-mail backend writes one file for each connection. A line of 79 hyphens follows each message.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from itertools import islice
from pathlib import Path

SEPARATOR = b"\n" + b"-" * 79 + b"\n"
MAX_EMAILS = 50


@dataclass(frozen=True)
class Email:
    """One e-mail."""

    to: str
    subject: str
    sent_at: datetime | None
    text: str
    attachments: list[str]


def emails(folder: Path) -> list[Email]:
    """Return the newest e-mails in the folder, the newest first."""
    files = sorted(folder.glob("*.log"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    return list(islice(_emails(files), MAX_EMAILS))


def _emails(files: list[Path]) -> Iterator[Email]:
    for file in files:
        for part in reversed(file.read_bytes().split(SEPARATOR)):
            if part.strip():
                yield _email(message_from_bytes(part, policy=policy.default))


def _email(message: EmailMessage) -> Email:
    body = message.get_body(preferencelist=("plain", "html"))
    date = message["Date"]
    return Email(
        to=str(message["To"] or ""),
        subject=str(message["Subject"] or ""),
        sent_at=date.datetime if date else None,
        text=str(body.get_content()) if body else "",
        attachments=[part.get_filename() or part.get_content_type() for part in message.iter_attachments()],
    )
