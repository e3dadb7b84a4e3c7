"""The app's SQL statements, where SQL is clearer or quicker than the ORM.

Their cost does not grow with the number of sold tickets, with three exceptions: the statements whose names end in
`_WRONG` read all reservations. `manage.py doctor` runs these three.
"""

from pathlib import Path

_FOLDER = Path(__file__).parent


def text(name: str) -> str:
    """Return the text of `name`.sql in this folder."""
    return (_FOLDER / f"{name}.sql").read_text()


COUNTERS_WRONG = text("counters_wrong")
EVENTS = text("events")
EVENTS_RANK = text("events_rank")
EVENTS_TOP = text("events_top")
FEED = text("feed")
HOLDS_ENDING = text("holds_ending")
METRICS = text("metrics")
PAYING = text("paying")
PAYING_WRONG = text("paying_wrong")
PAYMENT_TIMES = text("payment_times")
TICKETS_WRONG = text("tickets_wrong")
