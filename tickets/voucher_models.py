"""The table of vouchers. `tickets.models` imports it."""

from django.db import models
from django.db.models import F, Q

from overlord.accounts.models import NameKey
from overlord.kernel.money import LARGEST_MINOR
from tickets.rules import EARLIEST, LATEST
from tickets.voucher_rules import NOTE_LENGTH, TEXT_LENGTH, PriceRule

# The characters that the text of a voucher must not have: spaces, control characters, and separators of lines.
NOT_IN_A_WORD = r"[\u0001-\u0020\u007f-\u00a0\u2000-\u200f\u2028-\u202f\u3000]"


class Voucher(models.Model):
    """A text that gives a price, or the right to ticket types that buyers cannot reserve without it.

    A transaction that changes the row locks it, and claims with the voucher wait for this lock. The text never
    changes. sql/reservation_voucher_count.sql counts the uses, and checks that a reservation's voucher exists.
    """

    event = models.ForeignKey("tickets.Event", on_delete=models.CASCADE, related_name="+")
    text = models.CharField(max_length=TEXT_LENGTH)
    note = models.CharField(max_length=NOTE_LENGTH, blank=True)
    price_rule = models.CharField(max_length=10, choices=[(each.value,) * 2 for each in PriceRule])
    price_value = models.BigIntegerField(help_text="Percent, or minor units of the event's currency.")
    opens_early = models.BooleanField(help_text="Whether its types can be reserved before their sale opens.")
    all_types = models.BooleanField(
        help_text="Whether it is for all ticket types that are not hidden. Otherwise it is for the chosen ones."
    )
    ticket_types = models.ManyToManyField("tickets.TicketType", related_name="+")
    valid_from = models.DateTimeField(null=True)
    valid_until = models.DateTimeField(null=True)
    most_uses = models.IntegerField(
        null=True, help_text="The number of tickets that it can be used for. Null means any number."
    )
    used = models.BigIntegerField(
        default=0, editable=False, help_text="Tickets that are reserved or sold with it."
    )
    ended_at = models.DateTimeField(null=True)
    created = models.DateTimeField()
    version = models.BigIntegerField(default=1, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint("event", NameKey("text"), name="voucher_unique_in_event"),
            models.CheckConstraint(
                condition=~Q(text__regex=NOT_IN_A_WORD) & ~Q(text=""), name="voucher_text_is_a_word"
            ),
            models.CheckConstraint(
                condition=Q(price_rule=PriceRule.UNCHANGED, price_value=0)
                | Q(
                    price_rule__in=[PriceRule.FIXED, PriceRule.LESS],
                    price_value__gte=0,
                    price_value__lte=LARGEST_MINOR,
                )
                | Q(price_rule=PriceRule.PERCENT, price_value__gte=1, price_value__lte=100),
                name="voucher_price_known",
            ),
            models.CheckConstraint(
                condition=~Q(price_rule=PriceRule.UNCHANGED) | Q(opens_early=True) | Q(all_types=False),
                name="voucher_gives_something",
            ),
            models.CheckConstraint(
                condition=Q(most_uses=None) | Q(most_uses__gte=1), name="voucher_most_uses_positive"
            ),
            models.CheckConstraint(condition=Q(used__gte=0), name="voucher_used_not_negative"),
            models.CheckConstraint(
                condition=Q(most_uses=None) | Q(used__lte=F("most_uses")), name="voucher_used_within_limit"
            ),
            models.CheckConstraint(
                condition=(Q(valid_from=None) | Q(valid_from__gte=EARLIEST, valid_from__lt=LATEST))
                & (Q(valid_until=None) | Q(valid_until__gte=EARLIEST, valid_until__lt=LATEST))
                & (Q(valid_from=None) | Q(valid_until=None) | Q(valid_from__lt=F("valid_until"))),
                name="voucher_times_bounded",
            ),
        ]

    def __str__(self) -> str:
        return self.text


def voucher_of_reservation() -> "models.ForeignKey[Voucher | None, Voucher | None]":
    """Return the column of a reservation's voucher. A constraint or index on it would make every claim slower."""
    return models.ForeignKey(
        Voucher,
        models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
