"""The alert rules and the dashboard under deploy/ use figures that /metrics has."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.utils import timezone

from stats import metrics

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"
NAME = re.compile(r"\boverlord_\w+")
PROMTOOL = shutil.which("promtool") or ""
FROM_LIVE_PROCESSES = {"overlord_sockets"}  # which tests do not run


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def expressions_of_the_dashboard() -> list[str]:
    panels = json.loads((DEPLOY / "grafana" / "opening.json").read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


@pytest.mark.django_db(transaction=True)
def test_rules_and_dashboard_use_only_figures_that_exist() -> None:
    text = metrics.text(now=timezone.now()).decode()
    known = set(re.findall(r"^# TYPE (overlord_\w+)", text, re.MULTILINE)) | FROM_LIVE_PROCESSES
    asked = {name for rule in rules() for name in NAME.findall(rule["expr"])}
    asked |= {name for expression in expressions_of_the_dashboard() for name in NAME.findall(expression)}

    assert len(asked) > 10
    assert asked <= known


def test_operations_md_says_what_each_alert_means() -> None:
    operations = (DEPLOY.parent / "docs" / "operations.md").read_text()

    assert [rule["alert"] for rule in rules() if f"`{rule['alert']}`" not in operations] == []


@pytest.mark.skipif(not PROMTOOL, reason="promtool is not installed")
def test_each_rule_fires_when_it_should_and_only_then() -> None:
    tested = subprocess.run(
        [PROMTOOL, "test", "rules", RULES.with_name("alerts_test.yml")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert tested.returncode == 0, tested.stdout + tested.stderr
