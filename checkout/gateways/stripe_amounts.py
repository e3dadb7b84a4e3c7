"""Convert amounts to and from Stripe's units, which for some currencies are not the minor units of ISO 4217.

The functions are plain. An amount that Stripe's units cannot express exactly must be refused, and never rounded.
"""

from overlord.kernel import money

# The decimals of Stripe's API where they differ from those of ISO 4217 (docs.stripe.com/currencies).
DECIMALS = {"ISK": 2, "MGA": 0}
# Stripe's documentation says 0 decimals in one place and 2 in another. A wrong guess may charge a hundred times the
# amount.
UNCLEAR = {"UGX"}
THREE_DECIMALS = 3  # Stripe requires that the last of three decimals is 0


class NotAtStripe(ValueError):
    """Stripe does not take this amount, or we do not know how Stripe counts this currency."""


def to_stripe(minor: int, currency: str) -> int:
    """Return an amount in Stripe's units; raise NotAtStripe, with a sentence, if Stripe cannot take the amount."""
    if currency in UNCLEAR:
        raise NotAtStripe(f"Stripe does not say clearly how it counts {currency}.")
    ours = money.digits(currency)
    theirs = DECIMALS.get(currency, ours)
    amount, rest = divmod(minor * 10**theirs, 10**ours)
    if rest or (theirs == THREE_DECIMALS and amount % 10):
        raise NotAtStripe(
            f"Stripe cannot take exactly {money.to_text(minor, currency)} {currency}: it has too many decimals."
        )
    return amount


def from_stripe(amount: int, currency: str) -> int:
    """Return an amount of Stripe in minor units: the reverse of `to_stripe`. Parts of a minor unit are dropped."""
    ours = money.digits(currency)
    return amount * 10**ours // 10 ** DECIMALS.get(currency, ours)
