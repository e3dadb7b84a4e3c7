"""The app's SQL, where it is clearer or quicker than the ORM. All of it is bounded, whatever was sold."""

from pathlib import Path

_FOLDER = Path(__file__).parent


def text(name: str) -> str:
    """Will read `name`.sql of this folder."""
    return (_FOLDER / f"{name}.sql").read_text()


EVENTS = text("events")
FEED = text("feed")
HOLDS_ENDING = text("holds_ending")
PAYING = text("paying")
PAYMENT_TIMES = text("payment_times")
