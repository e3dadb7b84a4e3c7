"""The crash table: at each named point of the payment path the worker is killed, an error is raised, or the
gateway's answer gets lost. After healing every row ends right and the gateway's book agrees, one to one.

`python -m pytest checkout/tests/test_crashes.py --crash-table` runs all of it, `bin/test` a part.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any, Literal
from unittest.mock import patch

from django.db import connection

from checkout import operations, refund_operations
from checkout.gateways import GatewayUnknown, ledger
from checkout.gateways.sandbox import SandboxGateway
from checkout.services import processing, refunds
from tickets import operations as tickets
from tickets.admission import operations as admission

Mode = Literal["killed", "raised", "lost"]


class Crash(Exception):
    """The error that is raised where a point says `raised`."""


@dataclass(frozen=True)
class Point:
    """A point before or after one call of the payment path."""

    name: str
    owner: Any
    function: str
    moment: Literal["before", "after"]

    def __str__(self) -> str:
        return f"{self.moment} {self.name}"

    @property
    def is_at_gateway(self) -> bool:
        return self.owner is SandboxGateway

    def armed(self, mode: Mode) -> AbstractContextManager[Any]:
        """Patch the call so that the crash happens here, once."""
        original: Callable[..., Any] = getattr(self.owner, self.function)
        pending = [True]

        def call(*args: Any, **kwargs: Any) -> Any:
            if not pending:
                return original(*args, **kwargs)
            pending.clear()
            if self.moment == "before":
                happen(mode)
                return original(*args, **kwargs)
            original(*args, **kwargs)
            return happen(mode)

        return patch.object(self.owner, self.function, call)


happened: list[Mode] = []  # in this process


def happen(mode: Mode) -> None:
    """Kill this process, raise, or lose the answer."""
    happened.append(mode)
    if mode == "killed":
        os._exit(9)
    raise Crash if mode == "raised" else GatewayUnknown("lost by the crash table")


def _both(name: str, owner: Any, function: str) -> list[Point]:
    return [Point(name, owner, function, "before"), Point(name, owner, function, "after")]


CHARGING = [
    *_both("taking the payment", operations, "payment_take"),
    *_both("creating the intent", SandboxGateway, "create_intent"),
    *_both("keeping the intent's name", operations, "payment_remember_intent"),
    *_both("confirming", SandboxGateway, "confirm"),
    *_both("settling", processing, "_settle"),
    *_both("locking to settle", operations, "payment_order_lock"),
    *_both("validating the reservations", tickets, "order_validate"),
    *_both("success", operations, "payment_succeed"),
]
DECLINING = [
    *_both("failure", operations, "payment_fail"),
    *_both("giving the hold back", tickets, "order_stop_paying"),
]
CANCELLING = [
    *_both("asking", SandboxGateway, "retrieve"),
    *_both("cancelling", SandboxGateway, "cancel"),
    *_both("rescheduling", operations, "payment_reschedule"),
]
REFUNDING = [
    *_both("taking the refund", refund_operations, "refund_take"),
    *_both("paying back", SandboxGateway, "refund"),
    *_both("applying the refund", refunds, "_apply"),
    *_both("the counters", tickets, "order_pay_back"),
    *_both("refunded", operations, "payment_refunded"),
    *_both("revoking the tickets", admission, "tickets_revoke"),
]


def cells(points: list[Point]) -> list[tuple[Point, Mode]]:
    """Return every point with every mode that is possible there: only an answer of a gateway can get lost."""
    modes: list[Mode] = ["killed", "raised"]
    return [
        (point, mode)
        for point in points
        for mode in [*modes, *(["lost"] if point.is_at_gateway else [])]  # type: ignore[list-item]
    ]


def crash(work: Callable[[], Any], point: Point, mode: Mode) -> bool:
    """Do the work with the point armed, in a process that may die; return whether the point was reached."""
    child = os.fork()
    if child == 0:
        # The parent's connections are open in both processes, so the child forgets them without closing them.
        connection.connection = None
        ledger.forget()
        happened.clear()
        try:
            with point.armed(mode), suppress(Crash):
                work()
        finally:
            os._exit(8 if happened else 0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) in (8, 9)
