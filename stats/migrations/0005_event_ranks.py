"""Adds the ranks of events, by which the top fives are found. Samples fill them, five hundred events a second."""

import django.db.models.deletion
from django.db import migrations, models

KEY = """
ALTER TABLE stats_eventrank ADD CONSTRAINT event_rank_of_event
    FOREIGN KEY (event_id) REFERENCES tickets_event (id) ON DELETE CASCADE NOT VALID;
ALTER TABLE stats_eventrank VALIDATE CONSTRAINT event_rank_of_event
"""
NO_KEY = "ALTER TABLE stats_eventrank DROP CONSTRAINT event_rank_of_event"


class Migration(migrations.Migration):
    dependencies = [("stats", "0004_recent_readings"), ("tickets", "0069_voucher_index")]

    operations = [
        migrations.AddField(
            model_name="reading",
            name="ranked_to",
            field=models.BigIntegerField(
                db_default=0,
                default=0,
                help_text="The last event whose rank was compared; the next ones come next.",
            ),
        ),
        migrations.CreateModel(
            name="EventRank",
            fields=[
                (
                    "event",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="tickets.event",
                    ),
                ),
                ("date", models.DateTimeField(help_text="Of the event: who is equal comes by date.")),
                ("reservations", models.BigIntegerField()),
                ("sold", models.BigIntegerField()),
                (
                    "profit",
                    models.DecimalField(
                        decimal_places=0,
                        help_text="Revenue, comparable among currencies by number.",
                        max_digits=40,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        models.OrderBy(models.F("reservations"), descending=True),
                        models.F("date"),
                        models.F("event"),
                        name="event_rank_popular",
                    ),
                    models.Index(
                        models.OrderBy(models.F("sold"), descending=True),
                        models.F("date"),
                        models.F("event"),
                        name="event_rank_selling",
                    ),
                    models.Index(
                        models.OrderBy(models.F("profit"), descending=True),
                        models.F("date"),
                        models.F("event"),
                        name="event_rank_profit",
                    ),
                ],
            },
        ),
        migrations.RunSQL(KEY, NO_KEY),
    ]
