"""How often one buyer, and one address, may try to pay."""

from django.http import HttpRequest

from overlord.kernel import client_address, rate_limits
from overlord.kernel.errors import TooMany
from overlord.kernel.rate_limits import Limit

PAY_FIRST = Limit(name="pay-first", amount=3, seconds=600)
PAY_AGAIN_BY_BUYER = Limit(name="pay-again-buyer", amount=17, seconds=600)
PAY_AGAIN_BY_ADDRESS = Limit(name="pay-again-address", amount=100, seconds=600)


def count_pay(request: HttpRequest, *, buyer_id: int) -> None:
    """Count a try to pay; raise TooMany.

    The first tries are a buyer's own: no neighbour at a school's address can use them up. The limit of an address
    is for who tries card after card.
    """
    try:
        rate_limits.count(PAY_FIRST, buyer_id)
    except TooMany:
        rate_limits.count(PAY_AGAIN_BY_BUYER, buyer_id)
        rate_limits.count(PAY_AGAIN_BY_ADDRESS, client_address.of_request(request))
