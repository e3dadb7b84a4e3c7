"""The form of the shop's look, on the organiser's pages.

What must stay true: a form that was made before the latest change of the look saves nothing, and shows the changes.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any

from django import forms
from django.core import signing
from django.http import QueryDict
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from overlord.kernel import texts
from overlord.kernel.form_fields import wrong
from overlord.shop import colours
from overlord.shop.models import ADDRESS_LENGTH, TEXT_LENGTH, Look

SALT = "shop.look"
LONG = ("seller_address", "imprint", "terms")  # too long to be quoted in the sentence about a change
LABELS = {
    "name": _lazy("Name of the shop"),
    "accent": _lazy("Accent colour on light pages"),
    "accent_dark": _lazy("Accent colour on dark pages"),
    "seller_name": _lazy("Seller"),
    "seller_address": _lazy("Address of the seller"),
    "sender_name": _lazy("Sender of mails"),
    "reply_to": _lazy("Address for answers to mails"),
    "imprint": _lazy("Imprint"),
    "terms": _lazy("Terms and conditions"),
}
HINTS = {
    "name": _lazy(
        "Appears at the top of each page, in mails and on tickets. If this field is empty, Ticket"
        " Overlord appears there."
    ),
    "accent": _lazy(
        "For buttons, links and symbols. The contrast of this colour is checked, so that text is readable."
    ),
    "accent_dark": _lazy("The accent colour for people whose phone or computer uses a dark mode."),
    "seller_name": _lazy(
        "The name of the seller on receipts and in search engines. If this field is empty, the"
        " name of the shop appears there."
    ),
    "seller_address": _lazy(
        "Appears on receipts. Add any other details that the law requires, such as a VAT number. Optional."
    ),
    "sender_name": _lazy(
        "The name that people see in their mailbox. If this field is empty, they see the name of the shop."
    ),
    "reply_to": _lazy(
        "An e-mail address. If this field is empty, answers go to the address from which the mails are sent."
    ),
    "imprint": _lazy(
        "Buyers see the imprint on a separate page, with a link at the bottom of each page. You"
        " can use Markdown, as in descriptions of events."
    ),
    "terms": _lazy(
        "Buyers see the terms on a separate page. You can use Markdown. If you write terms here,"
        " the checkout says that buyers accept them by paying."
    ),
}


def _read(convert: Callable[[], str]) -> str:
    """Return the result of `convert`; turn its ValueError into a ValidationError with the same sentence."""
    try:
        return convert()
    except ValueError as error:
        raise forms.ValidationError(wrong(error)) from None


class LookForm(forms.ModelForm):
    """The form of the look. It contains the version of the look that it shows, so that an old form is refused."""

    meanwhile: Sequence[str] = ()  # sentences about changes that others made since the form was made

    made_from = forms.CharField(widget=forms.HiddenInput, required=False)
    reply_to = forms.EmailField(max_length=texts.EMAIL_LENGTH, required=False)
    seller_address = forms.CharField(
        max_length=ADDRESS_LENGTH, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )
    imprint = forms.CharField(
        max_length=TEXT_LENGTH, required=False, widget=forms.Textarea(attrs={"rows": 8})
    )
    terms = forms.CharField(max_length=TEXT_LENGTH, required=False, widget=forms.Textarea(attrs={"rows": 8}))

    class Meta:
        model = Look
        fields = tuple(LABELS)
        widgets = {name: forms.TextInput(attrs={"type": "color"}) for name in ("accent", "accent_dark")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, label in LABELS.items():
            self.fields[name].label, self.fields[name].help_text = label, HINTS[name]
        if not self.is_bound:
            self.initial["made_from"] = seal(self.instance)

    def clean(self) -> dict[str, Any] | None:
        if self.meanwhile:
            self.add_error(
                None, _("Nothing was saved, because somebody else has changed this in the meantime.")
            )
            for sentence in self.meanwhile:
                self.add_error(None, sentence)
            self.add_error(None, _("Your own changes are still in the form. Check them and save again."))
        return super().clean()

    def clean_name(self) -> str:
        return self._line("name")

    def clean_seller_name(self) -> str:
        return self._line("seller_name")

    def clean_sender_name(self) -> str:
        return self._line("sender_name")

    def clean_seller_address(self) -> str:
        return self._text("seller_address", most=ADDRESS_LENGTH)

    def clean_imprint(self) -> str:
        return self._text("imprint", most=TEXT_LENGTH)

    def clean_terms(self) -> str:
        return self._text("terms", most=TEXT_LENGTH)

    def clean_accent(self) -> str:
        return _checked_colour(self.cleaned_data["accent"], colours.LIGHT)

    def clean_accent_dark(self) -> str:
        return _checked_colour(self.cleaned_data["accent_dark"], colours.DARK)

    def _line(self, name: str) -> str:
        text = self.cleaned_data[name]
        return _read(lambda: texts.one_line(text, most=len(text))) if text.strip() else ""

    def _text(self, name: str, *, most: int) -> str:
        return _read(lambda: texts.paragraphs(self.cleaned_data[name], most=most))


def _checked_colour(text: str, scheme: colours.Scheme) -> str:
    """Return the colour in lower case; raise ValidationError if it is none, or if words in it are hard to read."""
    colour = text.lower()
    if not colours.is_colour(colour):
        raise forms.ValidationError(_("Write a colour as # and six digits, for example #0d6b4c."))
    has = colours.least_contrast(colour, scheme)
    if has < colours.LEAST_CONTRAST:
        facts = {
            "has": number_format(math.floor(has * 100) / 100, 2),
            "needed": number_format(colours.LEAST_CONTRAST, 1),
            "colour": colours.readable(colour, scheme),
        }
        if scheme == colours.LIGHT:
            sentence = _(
                "Text in this colour is hard to read on light pages. Its contrast is %(has)s, but at least"
                " %(needed)s is needed. Try the darker colour %(colour)s."
            )
        else:
            sentence = _(
                "Text in this colour is hard to read on dark pages. Its contrast is %(has)s, but at least"
                " %(needed)s is needed. Try the lighter colour %(colour)s."
            )
        raise forms.ValidationError(sentence % facts)
    return colour


# Outdated forms ------------------------------------------------------------------------------------------
def seal(look: Look) -> str:
    """Return the version of the look and a hash of each field, as the signed text of a hidden field."""
    marks = {name: _mark(getattr(look, name)) for name in LABELS}
    return signing.dumps({"version": look.version, "marks": marks}, salt=SALT)


def outdated(look: Look, data: QueryDict) -> tuple[list[str], QueryDict] | None:
    """Compare a sent form with the locked look; return None if the look has not changed since the form was made.

    Otherwise return sentences about the changes, and new data for the form: the values that its sender has
    changed, and the current values of all other fields.
    """
    try:
        made_from = signing.loads(data.get("made_from", ""), salt=SALT)
    except signing.BadSignature:
        made_from = {"version": None, "marks": {}}
    if made_from["version"] == look.version:
        return None
    marks, fresh, sentences = made_from["marks"], data.copy(), []
    for name, label in LABELS.items():
        now = getattr(look, name)
        if _mark(data.get(name, "")) == marks.get(name):
            fresh[name] = now
        if _mark(now) != marks.get(name):
            sentences.append(_changed(name, str(label), now))
    fresh["made_from"] = seal(look)
    return sentences or [_("Somebody else saved this in the meantime, but changed nothing.")], fresh


def _mark(text: str) -> str:
    """Return a short hash of a field's value. A changed value has another hash."""
    return hashlib.blake2b(text.replace("\r\n", "\n").strip().encode(), digest_size=12).hexdigest()


def _changed(name: str, label: str, now: str) -> str:
    if name in LONG:
        return _("%(what)s changed.") % {"what": label}
    return _("%(what)s is now: %(now)s.") % {"what": label, "now": now or _("empty")}
