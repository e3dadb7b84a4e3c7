"""`manage.py reconcile_charges`: list charges of the gateway without a payment, or pay them back."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from checkout import selectors, services
from checkout.gateways import GatewayUnknown
from checkout.models import UnmatchedCharge
from overlord.kernel import clock, money
from overlord.kernel.errors import NotFound

MOST_DAYS = 36_500


class Command(BaseCommand):
    help = (
        "List charges of the gateway that belong to no payment, for example after a backup was restored, or pay"
        " them back."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--days",
            type=int,
            help="how many days to look back. Without it, the list begins three days before the newest payment, or"
            " three days before now if there is no payment",
        )
        parser.add_argument(
            "--pay-back",
            nargs="+",
            metavar="NUMBER",
            help="the numbers of the charges to pay back, or the word all",
        )

    def handle(self, *_args: Any, days: int | None, pay_back: list[str] | None, **_options: Any) -> None:
        if days is not None and not 1 <= days <= MOST_DAYS:
            raise CommandError(f"--days must be a number from 1 to {MOST_DAYS}.")
        now = clock.now()
        since = selectors.charges_since(now=now) if days is None else now - timedelta(days=days)
        try:
            services.charges_reconcile(gateway=settings.PAYMENT_GATEWAY, since=since)
        except GatewayUnknown as error:
            raise CommandError(f"The gateway cannot be asked: {error}") from None
        charges = list(selectors.unmatched_charges_open())
        self.stdout.write(f"The charges since {since:%Y-%m-%d %H:%M} UTC were compared with the payments.")
        if not charges:
            self.stdout.write("Every charge belongs to a payment.")
        for charge in charges:
            self.stdout.write(_line(charge))
        if pay_back:
            self._pay_back(charges, set(pay_back))

    def _pay_back(self, charges: list[UnmatchedCharge], asked: set[str]) -> None:
        if unknown := asked - {"all"} - {str(charge.pk) for charge in charges}:
            names = ", ".join(sorted(unknown))
            raise CommandError(f"Nothing was paid back: the list above does not have {names}.")
        for charge in charges:
            if "all" not in asked and str(charge.pk) not in asked:
                continue
            try:
                outcome = services.unmatched_charge_refund(staff_id=None, charge_id=charge.pk)
            except NotFound:
                continue  # another process has just closed it
            self.stdout.write(f"{charge.pk}: the refund is {outcome}")


def _line(charge: UnmatchedCharge) -> str:
    amount = f"{money.to_text(charge.amount_minor, charge.currency)} {charge.currency}"
    return (
        f"{charge.pk}: {charge.gateway_reference}, {amount}, charged {charge.charged_at:%Y-%m-%d %H:%M} UTC"
    )
