"""How often one buyer, and one address, may try to pay, or name an e-mail address that is another's."""

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

    The first tries are a buyer's own: no other person at the address of a school can use them up. The limit of an
    address stops somebody who tries card after card.
    """
    try:
        rate_limits.count(PAY_FIRST, buyer_id)
    except TooMany:
        rate_limits.count(PAY_AGAIN_BY_BUYER, buyer_id)
        rate_limits.count(PAY_AGAIN_BY_ADDRESS, client_address.of_request(request))


@contextmanager
def taken_counted(request: HttpRequest, *, buyer_id: int, contact: Contact | None) -> Iterator[None]:
    """Count an e-mail address that turns out to be an account's in this block; raise TooMany after too many.

    So nobody can find out by trying who has an account. Other addresses are not counted. Without an address nothing
    is checked.
    """
    if contact is None or contact.email is None:
        yield
        return
    counted = ((TAKEN_BY_BUYER, buyer_id), (TAKEN_BY_ADDRESS, client_address.of_request(request)))
    for limit, by in counted:
        rate_limits.check(limit, by)
    try:
        yield
    except EmailHasAccount:
        for limit, by in counted:
            rate_limits.count(limit, by)
        raise
