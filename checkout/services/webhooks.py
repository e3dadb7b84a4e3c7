"""Messages of gateways. A message only makes a worker ask the gateway. Its content is never taken as true."""

from collections.abc import Mapping

from checkout import gateways, operations, selectors
from checkout.services import refunds
from overlord.kernel import db
from overlord.kernel.errors import Invalid, NotFound
from overlord.kernel.queues import enqueue


class InvalidSignature(Invalid):
    code = "invalid_signature"
    sentence = "The signature of this message is missing, wrong or too old."


def webhook_take(*, gateway: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Let a worker ask about the intent and the refund that a signed message names, once for each message.

    If the task is lost, beat finds the payment, and the nightly comparison finds the refund. Raise NotFound for an
    unknown gateway, or InvalidSignature.
    """
    if not gateways.known(gateway):
        raise NotFound()
    try:
        news = gateways.named(gateway).parse_webhook(body=body, headers=headers)
    except gateways.ForgedWebhook:
        raise InvalidSignature() from None
    with db.transaction():
        fresh = operations.webhook_note(gateway=gateway, message_id=news.event_id[:255], now=db.now())
    if not fresh:
        # An earlier request recorded this message, and perhaps no standby has its commit yet. After our answer the
        # gateway does not repeat the message.
        db.commits_await()
    if not fresh or news.intent is None:
        return
    if news.refund is not None:
        refunds.refund_look_again_request(gateway=gateway, intent=news.intent, reference=news.refund)
    payment_id = selectors.payment_of_intent(gateway=gateway, reference=news.intent)
    if payment_id is not None:
        enqueue("checkout.payment_process", payment_id=payment_id)
