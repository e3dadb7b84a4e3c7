"""Limits of checkout, for each buyer and for each network address.

They count tries to pay, and how often somebody enters an e-mail address that belongs to an account.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.http import HttpRequest

from checkout.rules import Contact
from overlord.accounts.operations import EmailHasAccount
from overlord.kernel import client_address, rate_limits
from overlord.kernel.errors import TooMany
from overlord.kernel.rate_limits import Limit

PAY_FIRST = Limit(name="pay-first", amount=3, seconds=600)
PAY_AGAIN_BY_BUYER = Limit(name="pay-again-buyer", amount=17, seconds=600)
PAY_AGAIN_BY_ADDRESS = Limit(name="pay-again-address", amount=100, seconds=600)

TAKEN_BY_BUYER = Limit(name="taken-buyer", amount=10, seconds=600)
TAKEN_BY_ADDRESS = Limit(name="taken-address", amount=600, seconds=600)


def count_pay(request: HttpRequest, *, buyer_id: int) -> None:
    """Count a try to pay; raise TooMany.

    A buyer's first tries count for the buyer alone: other people at the same network address, for example in a
    school, cannot use them up. The limit of a network address stops somebody who tries one card after another.
    """
    try:
        rate_limits.count(PAY_FIRST, buyer_id)
    except TooMany:
        rate_limits.count(PAY_AGAIN_BY_BUYER, buyer_id)
        rate_limits.count(PAY_AGAIN_BY_ADDRESS, client_address.of_request(request))


@contextmanager
def taken_emails_counted(request: HttpRequest, *, buyer_id: int, contact: Contact | None) -> Iterator[None]:
    """Count how often the block raises EmailHasAccount; raise TooMany when a limit is reached.

    So nobody can find out who has an account by trying many e-mail addresses. An e-mail address that belongs to no
    account is not counted. If `contact` has no e-mail address, nothing is counted or refused.
    """
    if contact is None or contact.email is None:
        yield
        return
    counted = [(TAKEN_BY_BUYER, buyer_id), (TAKEN_BY_ADDRESS, client_address.of_request(request))]
    with rate_limits.counted_if(EmailHasAccount, counted):
        yield
