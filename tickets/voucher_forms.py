"""The forms of discount and presale codes on the organiser's pages."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from overlord.kernel import money, texts
from overlord.kernel.form_fields import DateAndTimeField, WholeNumberField, wrong
from tickets import rules, voucher_rules
from tickets.models import Event, TicketType, Voucher
from tickets.voucher_models import NOT_IN_A_WORD
from tickets.voucher_rules import PriceRule
from tickets.voucher_services import Terms

MOST_AT_ONCE = 1_000
PRICE_RULES = [
    (PriceRule.PERCENT.value, _lazy("Percent off")),
    (PriceRule.LESS.value, _lazy("Amount off each ticket")),
    (PriceRule.FIXED.value, _lazy("Fixed price of each ticket")),
    (PriceRule.UNCHANGED.value, _lazy("The price does not change")),
]


class CodeForm(forms.Form):
    """The form of a code: its effect, times and limit.

    The hidden field `made_from` has the state of the code from which the form was made.
    """

    meanwhile: Sequence[str] = ()  # sentences about what others changed since the form was made

    made_from = forms.CharField(required=False, widget=forms.HiddenInput)
    price_rule = forms.ChoiceField(label=_lazy("Effect on the price"), choices=PRICE_RULES)
    price_value = forms.CharField(
        label=_lazy("Amount or percentage"),
        required=False,
        max_length=money.TEXT_LENGTH,
        help_text=_lazy(
            "For a percentage, enter 10 for ten percent. For an amount, enter for example 5.00. With a code, a"
            " ticket never costs less than 0.00 or more than its usual price."
        ),
    )
    opens_early = forms.BooleanField(
        label=_lazy("Presale"),
        required=False,
        help_text=_lazy("With this code, tickets can be reserved before their sale opens."),
    )
    ticket_types = forms.TypedMultipleChoiceField(
        label=_lazy("Ticket types"),
        required=False,
        coerce=int,
        widget=forms.CheckboxSelectMultiple,
        help_text=_lazy(
            "If you choose none, the code is for all ticket types that buyers see. Hidden ticket types"
            " can be reserved only with a code for which you chose them."
        ),
    )
    most_uses = WholeNumberField(
        label=_lazy("Maximum number of tickets"),
        required=False,
        min_value=1,
        max_value=rules.LARGEST_AMOUNT,
        help_text=_lazy(
            "This limit is for each code, in all orders together. Leave this field empty for no limit."
        ),
        error_messages={"invalid": _lazy("Enter a whole number.")},
    )
    valid_from = DateAndTimeField(
        label=_lazy("Valid from"),
        required=False,
        help_text=_lazy("Leave this field empty if the code is valid immediately."),
    )
    valid_until = DateAndTimeField(
        label=_lazy("Valid until"),
        required=False,
        help_text=_lazy("Leave this field empty for a code that does not expire."),
    )
    note = forms.CharField(
        label=_lazy("Note"),
        required=False,
        max_length=voucher_rules.NOTE_LENGTH,
        help_text=_lazy("For staff, for example who gets the code. Buyers do not see this note."),
    )

    def __init__(
        self,
        *args: Any,
        event: Event,
        types: Sequence[TicketType],
        voucher: Voucher | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.event, self.types, self.voucher = event, types, voucher
        self.fields["ticket_types"].choices = [  # type: ignore[attr-defined]
            (each.pk, f"{each.name} ({_('hidden from buyers')})" if each.hidden else each.name)
            for each in types
        ]

    def clean_ticket_types(self) -> list[str]:
        """Return the chosen types. Refuse an empty choice (all types) if the code's own types were deleted."""
        chosen: list[str] = self.cleaned_data["ticket_types"]
        known = self.voucher
        if not chosen and known is not None and not known.all_types and not known.ticket_types.exists():
            sentence = _("The ticket types of this code were deleted. Choose others, or end this code.")
            raise forms.ValidationError(sentence)
        return chosen

    def clean_valid_from(self) -> datetime | None:
        return self._instant("valid_from")

    def clean_valid_until(self) -> datetime | None:
        return self._instant("valid_until")

    def _instant(self, name: str) -> datetime | None:
        instant: datetime | None = self.cleaned_data[name]
        if instant is not None:
            try:
                rules.check_instant(instant)
            except ValueError as error:
                raise forms.ValidationError(wrong(error)) from None
        return instant

    def clean_note(self) -> str:
        text: str = self.cleaned_data["note"]
        try:
            return texts.one_line(text, most=voucher_rules.NOTE_LENGTH) if text.strip() else ""
        except ValueError as error:
            raise forms.ValidationError(wrong(error)) from None

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if self.meanwhile:
            self.add_error(
                None, _("Nothing was saved, because somebody else has changed this in the meantime.")
            )
            for sentence in self.meanwhile:
                self.add_error(None, sentence)
            self.add_error(None, _("Your own changes are still in the form. Check them and save again."))
        if "price_rule" in given and "price_value" in given:
            try:
                given["price_value"] = self._value(given["price_rule"], given["price_value"].strip())
            except ValueError as error:
                self.add_error("price_value", wrong(error))
        begins, ends = given.get("valid_from"), given.get("valid_until")
        if begins and ends and begins >= ends:
            self.add_error("valid_until", _("A code must end after it begins."))
        if begins and "ticket_types" in given and self._is_never_valid(begins, given["ticket_types"]):
            self.add_error("valid_from", _("The sale of these tickets ends before this time."))
        if given.get("price_rule") == PriceRule.UNCHANGED and not (
            given.get("opens_early") or given.get("ticket_types")
        ):
            sentence = _(
                "This code would have no effect. Change the price, allow a presale, or choose ticket types."
            )
            self.add_error("price_rule", sentence)
        return given

    def _is_never_valid(self, begins: datetime, chosen: Sequence[int]) -> bool:
        """Return whether the sales of all ticket types of the code have ended before the code is valid."""
        meant = [each for each in self.types if (each.pk in chosen if chosen else not each.hidden)]
        ends = [each.inventory.closes_at for each in meant if hasattr(each, "inventory")]
        return bool(ends) and max(ends) <= begins

    def _value(self, rule: str, text: str) -> int:
        """Return the number of a price rule: a percentage, minor units, or 0 for UNCHANGED.

        Raise ValueError, with a sentence, for a text that is not such a number.
        """
        if rule == PriceRule.UNCHANGED:
            return 0
        if rule == PriceRule.PERCENT:
            number = text.removesuffix("%").strip()
            if not (number.isascii() and number.isdecimal() and len(number) <= 3 and 1 <= int(number) <= 100):
                raise ValueError("Enter a whole number from 1 to 100.")
            return int(number)
        return money.written_to_minor(text, self.event.currency)

    def terms(self) -> Terms:
        """Return the terms in a valid form."""
        read_for = {name: getattr(self.event, name) for name in ("currency", "time_zone")}
        names = Terms.__dataclass_fields__.keys() - read_for.keys()
        given = {name: self.cleaned_data[name] for name in names}
        return Terms(**{**given, **read_for, "price_rule": PriceRule(given["price_rule"])})


class NewCodeForm(CodeForm):
    """The form of a new code, or of many at once."""

    text = forms.CharField(
        label=_lazy("Code"),
        required=False,
        help_text=_lazy(
            "The text that buyers enter, for example SPRING. Upper and lower case make no difference."
            " Leave this field empty to get a random code. If you create several codes, each begins"
            " with this text and ends with random characters."
        ),
    )
    number = WholeNumberField(
        label=_lazy("Number of codes"),
        min_value=1,
        max_value=MOST_AT_ONCE,
        initial=1,
        help_text=_lazy(
            "If you create more than one code, each code gets random characters at the end. You can"
            " download the list of codes."
        ),
        error_messages={"invalid": _lazy("Enter a whole number.")},
    )
    key = forms.RegexField(r"^[0-9a-f]{32}$", widget=forms.HiddenInput)
    field_order = ("text", "number")

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"].strip()
        if not text:
            return ""
        if re.search(NOT_IN_A_WORD, text):
            raise forms.ValidationError(_("A code has no spaces."))
        try:
            return texts.one_line(text, most=voucher_rules.TEXT_LENGTH)
        except ValueError as error:
            raise forms.ValidationError(wrong(error)) from None


def initial_of(voucher: Voucher, *, currency: str) -> dict[str, Any]:
    """Return the values that the form of a voucher shows at first."""
    value = str(voucher.price_value)
    if voucher.price_rule in (PriceRule.FIXED, PriceRule.LESS):
        value = money.to_text(voucher.price_value, currency)
    elif voucher.price_rule == PriceRule.UNCHANGED:
        value = ""
    plain = ("price_rule", "opens_early", "most_uses", "valid_from", "valid_until", "note")
    return {
        **{name: getattr(voucher, name) for name in plain},
        "price_value": value,
        "ticket_types": [each.pk for each in voucher.ticket_types.all()],
    }
