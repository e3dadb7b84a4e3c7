import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("admission", "0004_order_links")]

    operations = [
        migrations.AddField(
            model_name="ticket",
            name="handed_to",
            field=models.EmailField(
                blank=True,
                db_default="",
                default="",
                help_text="The e-mail address of whoever it was handed to. Empty: the buyer has it.",
                max_length=254,
            ),
        ),
        migrations.CreateModel(
            name="HandOverNotice",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("issue", models.SmallIntegerField(help_text="The ticket's issue from then on.")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("received", "To whoever has the ticket now"),
                            ("given", "To whoever handed it over"),
                            ("withdrawn", "To whoever had it and did not hand it over"),
                        ],
                        max_length=9,
                    ),
                ),
                ("to", models.EmailField(max_length=254)),
                ("created", models.DateTimeField()),
                ("attempts", models.IntegerField(default=0)),
                ("next_look_at", models.DateTimeField(null=True)),
                ("sent_at", models.DateTimeField(null=True)),
                (
                    "ticket",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="admission.ticket",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("ticket", "issue", "kind"), name="hand_over_notice_once")
                ],
                "indexes": [
                    models.Index(
                        condition=models.Q(("next_look_at__isnull", False)),
                        fields=["next_look_at"],
                        name="hand_over_notice_to_send",
                    )
                ],
            },
        ),
    ]
