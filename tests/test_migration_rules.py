"""Each migration since the first release expands, or says that it contracts."""

from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader

from tests.migration_rules import objections

# Up to these numbers, migrations are older than the first release, so no upgrade runs them during a sale.
BEFORE_THE_RULE = {
    "accounts": 99,
    "admission": 99,
    "authtoken": 5,
    "checkout": 99,
    "line": 99,
    "realtime": 3,
    "tickets": 99,
}


def migration(*operations: Any, **attributes: Any) -> Any:
    return type("Migration", (migrations.Migration,), {"operations": list(operations), **attributes})(
        "0001", "app"
    )


def _is_own(folder: str) -> bool:
    path = Path(folder)
    return path.is_relative_to(settings.BASE_DIR) and "site-packages" not in path.parts


def named() -> list[Any]:
    """Return the migrations to which the rules apply."""
    loader = MigrationLoader(None)
    own = {app.label for app in apps.get_app_configs() if _is_own(app.path)}
    return [
        each
        for (app, name), each in sorted(loader.disk_migrations.items())
        if app in own and not each.initial and int(name[:4]) > BEFORE_THE_RULE.get(app, 0)
    ]


def test_each_migration_lets_the_former_release_go_on() -> None:
    assert {str(each): objections(each) for each in named() if objections(each)} == {}


@pytest.mark.parametrize(
    "operation",
    [
        migrations.RemoveField("event", "name"),
        migrations.RenameField("event", "name", "title"),
        migrations.DeleteModel("event"),
        migrations.AddField("event", "place", models.TextField(default="")),
        migrations.AddIndex("event", models.Index(fields=["date"], name="by_date")),
        migrations.RunSQL("ALTER TABLE tickets_event DROP COLUMN name"),
        migrations.RunSQL("ALTER TABLE tickets_event RENAME COLUMN name TO title"),
        migrations.RunSQL("DROP FUNCTION reserve(bigint); CREATE FUNCTION reserve(text) ..."),
        migrations.RunSQL("CREATE INDEX by_date ON tickets_event (date)"),
        migrations.RunSQL("ALTER TABLE tickets_event ADD CONSTRAINT dated CHECK (date > created)"),
        migrations.RunSQL("ALTER TABLE tickets_event ALTER COLUMN date SET NOT NULL"),
        migrations.RunSQL(["SELECT 1", ("DROP TABLE tickets_event", None)]),
    ],
)
def test_sql_that_hurts_the_former_release_is_found(operation: Any) -> None:
    assert len(objections(migration(operation))) == 1
    assert objections(migration(operation, contracts="0.3.0")) == []


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField("event", "place", models.TextField(default="", db_default="")),
        migrations.AddField("event", "place", models.TextField(null=True)),
        AddIndexConcurrently("event", models.Index(fields=["date"], name="by_date")),
        migrations.RunSQL("CREATE INDEX CONCURRENTLY by_date ON tickets_event (date)"),
        migrations.RunSQL("ALTER TABLE tickets_event ADD CONSTRAINT dated CHECK (date > created) NOT VALID"),
        migrations.RunSQL("CREATE TABLE place (id bigint); CREATE INDEX by_id ON place (id)"),
        migrations.RunSQL(
            "CREATE OR REPLACE FUNCTION reserve(bigint) RETURNS void -- DROP TABLE is not done"
        ),
    ],
)
def test_sql_that_expands_is_accepted(operation: Any) -> None:
    assert objections(migration(operation)) == []
