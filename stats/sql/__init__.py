"""The app's SQL, where it is clearer or quicker than the ORM. Its cost does not grow with what was sold."""

from pathlib import Path

_FOLDER = Path(__file__).parent


def text(name: str) -> str:
    """Return the text of `name`.sql in this folder."""
    return (_FOLDER / f"{name}.sql").read_text()


EVENTS = text("events")
FEED = text("feed")
HOLDS_ENDING = text("holds_ending")
METRICS = text("metrics")
PAYING = text("paying")
PAYMENT_TIMES = text("payment_times")
