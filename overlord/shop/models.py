"""The look of the shop, which staff set, in one row. `look.py` reads it, `services.py` changes it."""

from email.headerregistry import Address
from email.utils import parseaddr

from django.conf import settings
from django.db import models
from django.db.models import Q

from overlord.kernel.texts import EMAIL_LENGTH, NOT_IN_A_LINE
from overlord.shop import colours, pictures

PRODUCT = "Ticket Overlord"
ACCENT, ACCENT_DARK = "#0d6b4c", "#58c99b"  # the same as in static/shop/shop.css
NAME_LENGTH, SELLER_LENGTH, ADDRESS_LENGTH, TEXT_LENGTH = 60, 200, 1_000, 50_000


class Look(models.Model):
    """The look of the shop, in one row. While there is no row, each setting has its default."""

    id = models.SmallIntegerField(primary_key=True, default=1, editable=False)
    version = models.BigIntegerField(default=1, db_default=1, editable=False)
    name = models.CharField(max_length=NAME_LENGTH, blank=True, default="", db_default="")
    # The name of a picture of `pictures`; empty: no logo.
    logo = models.CharField(max_length=64, blank=True, default="", db_default="", editable=False)
    accent = models.CharField(max_length=7, default=ACCENT, db_default=ACCENT)
    accent_dark = models.CharField(max_length=7, default=ACCENT_DARK, db_default=ACCENT_DARK)
    seller_name = models.CharField(max_length=SELLER_LENGTH, blank=True, default="", db_default="")
    seller_address = models.TextField(blank=True, default="", db_default="")
    sender_name = models.CharField(max_length=NAME_LENGTH, blank=True, default="", db_default="")
    reply_to = models.CharField(max_length=EMAIL_LENGTH, blank=True, default="", db_default="")
    imprint = models.TextField(blank=True, default="", db_default="")
    terms = models.TextField(blank=True, default="", db_default="")

    class Meta:
        default_permissions = ()
        permissions = [("manage_look", "Can set the shop's name, look, sender, imprint and terms")]
        constraints = [
            models.CheckConstraint(condition=Q(id=1), name="look_is_one"),
            models.CheckConstraint(condition=Q(logo__regex=rf"^({pictures.NAME})?$"), name="look_logo_named"),
            models.CheckConstraint(
                condition=Q(accent__regex=f"^{colours.COLOUR}$", accent_dark__regex=f"^{colours.COLOUR}$"),
                name="look_colours_known",
            ),
            models.CheckConstraint(
                condition=~Q(name__regex=NOT_IN_A_LINE)
                & ~Q(seller_name__regex=NOT_IN_A_LINE)
                & ~Q(sender_name__regex=NOT_IN_A_LINE)
                & ~Q(reply_to__regex=NOT_IN_A_LINE),
                name="look_names_on_lines",
            ),
        ]

    def __str__(self) -> str:
        return self.shop_name

    @property
    def shop_name(self) -> str:
        """Return the name of the shop."""
        return self.name or PRODUCT

    @property
    def seller(self) -> str:
        """Return the name of the seller, for receipts and search engines."""
        return self.seller_name or self.shop_name

    @property
    def sender(self) -> str:
        """Return the sender of mails: the name that staff have set, and the installation's e-mail address.

        If staff have set no name, return DEFAULT_FROM_EMAIL.
        """
        if not (self.sender_name or self.name):
            return settings.DEFAULT_FROM_EMAIL
        address = parseaddr(settings.DEFAULT_FROM_EMAIL)[1]
        return str(Address(display_name=self.sender_name or self.name, addr_spec=address))

    @property
    def stylesheet(self) -> str:
        """Return the two accent colours as a part of the stylesheet's address, such as `0d6b4c-58c99b`.

        Return "" for the default colours, which need no stylesheet.
        """
        if (self.accent, self.accent_dark) == (ACCENT, ACCENT_DARK):
            return ""
        return f"{self.accent[1:]}-{self.accent_dark[1:]}"
