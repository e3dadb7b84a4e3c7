import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

STAYS = """
CREATE OR REPLACE FUNCTION journal_entry_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('journal.prunes', true) = 'yes' THEN
        RETURN OLD;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF NEW.facts = '{}'::jsonb AND to_jsonb(NEW) - 'facts' = to_jsonb(OLD) - 'facts' THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'entry % of the journal stays as it was written', OLD.id
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'journal_entry_stays';
END
$$;

CREATE TRIGGER journal_entry_stays BEFORE UPDATE OR DELETE ON journal_journalentry
FOR EACH ROW EXECUTE FUNCTION journal_entry_stays();
"""

PRUNE = """
CREATE OR REPLACE FUNCTION journal_prune(p_before timestamptz, p_most integer) RETURNS integer LANGUAGE plpgsql
SET journal.prunes = 'yes' AS $$
DECLARE
    v_deleted integer;
BEGIN
    DELETE FROM journal_journalentry e
     USING (SELECT o.id FROM journal_journalentry o WHERE o.at < p_before ORDER BY o.at, o.id LIMIT p_most) old
     WHERE e.id = old.id;
    GET DIAGNOSTICS v_deleted = ROW_COUNT;
    RETURN v_deleted;
END
$$;
"""

UNDO = """
DROP TRIGGER journal_entry_stays ON journal_journalentry;
DROP FUNCTION journal_entry_stays();
DROP FUNCTION journal_prune(timestamptz, integer);
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        migrations.CreateModel(
            name="JournalEntry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                ("action", models.CharField(help_text="One of `actions.Action`.", max_length=40)),
                ("event_number", models.BigIntegerField(null=True)),
                ("order_number", models.BigIntegerField(null=True)),
                ("facts", models.JSONField(default=dict, help_text="What its sentence names.")),
                (
                    "request_id",
                    models.CharField(help_text="As in the logs; empty for a command.", max_length=64),
                ),
                (
                    "actor",
                    models.ForeignKey(
                        help_text="Empty: a command on the server.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        help_text="To whom it was done.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "journal entries",
                "permissions": [("view_journal", "Can see who did what")],
                "indexes": [
                    models.Index(fields=["at", "id"], name="journal_by_time"),
                    models.Index(
                        condition=models.Q(("event_number__isnull", False)),
                        fields=["event_number"],
                        name="journal_of_event",
                    ),
                    models.Index(
                        condition=models.Q(("order_number__isnull", False)),
                        fields=["order_number"],
                        name="journal_of_order",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("action__regex", "^[a-z][a-z_]*$")), name="journal_action_named"
                    )
                ],
            },
        ),
        migrations.RunSQL([STAYS, PRUNE], UNDO),
    ]
