"""What stops the start, with a sentence: settings that are missing or wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parents[1]


def start(**variables: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **variables}
    argv = [sys.executable, "manage.py", "check"]
    return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"PAYMENT_GATEWAY": "cash"}, "must be sandbox or stripe"),
        ({"PAYMENT_GATEWAY": "stripe"}, "STRIPE_SECRET_KEY must begin with sk_ or rk_"),
        ({"PAYMENT_GATEWAY": "stripe", "STRIPE_SECRET_KEY": "pk_1"}, "STRIPE_SECRET_KEY must begin"),
        (
            {"PAYMENT_GATEWAY": "stripe", "STRIPE_SECRET_KEY": "sk_1", "STRIPE_PUBLISHABLE_KEY": "pk_1"},
            "STRIPE_WEBHOOK_SECRETS must be",
        ),
        ({"HOLD_SECONDS": "soon"}, "HOLD_SECONDS must be a whole number"),
        ({"HOLD_SECONDS": "0"}, "HOLD_SECONDS is 0"),
        ({"ENVIRONMENT": "staging"}, "must be development, test or production"),
    ],
)
def test_a_wrong_value_stops_the_start(variables: dict[str, str], sentence: str) -> None:
    started = start(**variables)

    assert started.returncode != 0
    assert sentence in started.stderr


def test_right_ones_do_not() -> None:
    keys = {
        "STRIPE_SECRET_KEY": "sk_1",
        "STRIPE_PUBLISHABLE_KEY": "pk_1",
        "STRIPE_WEBHOOK_SECRETS": "whsec_1,whsec_2",
    }
    assert start(PAYMENT_GATEWAY="stripe", **keys).returncode == 0
