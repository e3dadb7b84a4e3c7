"""Messages from gateways: each starts a look at the payment, once, and is not believed."""

import time
from typing import Any

import pytest
from rest_framework.test import APIClient

from checkout.gateways.sandbox import SIGNATURE, SandboxGateway, signed_news
from checkout.models import Payment, WebhookEvent
from checkout.rules import Charge
from checkout.services import processing
from checkout.tests.paying import audit, charges, heal, lapse, pay, work
from overlord.kernel import db, redis_client

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/payment/webhooks/sandbox/"


def news(payment: Payment) -> list[dict[str, Any]]:
    """Return the events that the sandbox has about a payment's intents."""
    return db.rows(
        "SELECT e.id, e.intent, e.type FROM sandbox.events e JOIN sandbox.intents i ON i.id = e.intent"
        " WHERE i.payment = %s ORDER BY e.created",
        [payment.pk],
    )


def deliver(event: dict[str, Any], *, at: float | None = None, **forged: str) -> Any:
    body, headers = signed_news(event, at=at)
    return APIClient().post(URL, data=body, content_type="application/json", headers={**headers, **forged})


def hints() -> int:
    """Count the messages that wait for the payments worker."""
    return int(redis_client.connection().llen("payments"))


class TestTaking:
    def test_a_message_lets_a_worker_ask_the_gateway_which_brings_the_outcome(
        self, api: APIClient, payment: Payment
    ) -> None:
        pay(api, payment, "timeout_charged")
        work(payment)
        waiting = hints()

        assert deliver(news(payment)[0]).status_code == 200
        assert hints() == waiting + 1
        assert work(payment).status == "SUCCESS"  # at once, and not at the time of its next look
        audit()

    def test_an_event_that_comes_twice_counts_once(self, api: APIClient, payment: Payment) -> None:
        pay(api, payment, "timeout_charged")
        work(payment)
        waiting = hints()
        for _ in range(3):
            assert deliver(news(payment)[0]).status_code == 200

        assert hints() == waiting + 1
        assert WebhookEvent.objects.count() == 1

    def test_a_message_before_our_own_answer_changes_nothing(
        self, api: APIClient, payment: Payment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pay(api, payment)
        original = SandboxGateway.confirm

        def overtaken(self: SandboxGateway, **request: Any) -> Any:
            answer = original(self, **request)
            assert deliver(news(payment)[0]).status_code == 200
            assert work(payment).status == "PROCESSING"  # the first worker has it
            return answer

        monkeypatch.setattr(SandboxGateway, "confirm", overtaken)
        assert work(payment).status == "SUCCESS"
        audit()

    def test_an_old_message_after_a_new_one_changes_nothing(self, api: APIClient, payment: Payment) -> None:
        pay(api, payment, "card_error")
        work(payment)
        pay(api, payment, "ok")
        work(payment)
        declined, succeeded = news(payment)

        for event in (succeeded, declined):
            assert deliver(event).status_code == 200
            work(payment)
        heal()
        assert payment.status == "SUCCESS"
        assert charges(payment) == ["declined", "succeeded"]

    def test_the_content_of_a_message_is_not_believed(self, api: APIClient, payment: Payment) -> None:
        pay(api, payment, "card_error")
        work(payment)
        lie = {**news(payment)[0], "id": "evt_lie", "type": "payment.succeeded", "outcome": "succeeded"}

        assert deliver(lie).status_code == 200
        assert work(payment).status == "FAILURE"
        audit()

    def test_a_message_about_an_unknown_payment_is_accepted_and_ignored(self, db: None) -> None:
        assert deliver({"id": "evt_1", "intent": "pi_somebody_elses", "type": "x"}).status_code == 200
        assert hints() == 0


class TestForged:
    @pytest.mark.parametrize(
        "signature", ["", "1.2", "garbage", f"{{now}}.{'0' * 64}", "\u0661.x", f"{10**30}.00"]
    )
    def test_a_wrong_signature_is_400(self, api: APIClient, payment: Payment, signature: str) -> None:
        pay(api, payment)
        work(payment)
        answer = deliver(news(payment)[0], **{SIGNATURE: signature.format(now=int(time.time()))})

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_signature")
        assert not WebhookEvent.objects.exists()

    def test_an_old_one_is_400(self, api: APIClient, payment: Payment) -> None:
        pay(api, payment)
        work(payment)
        assert deliver(news(payment)[0], at=time.time() - 301).status_code == 400
        assert deliver(news(payment)[0], at=time.time() - 200).status_code == 200

    def test_another_body_under_a_good_signature_is_400(self, db: None) -> None:
        body, headers = signed_news({"id": "evt_1", "intent": "pi_1"})
        forged = body.replace(b"pi_1", b"pi_2")
        answer = APIClient().post(URL, data=forged, content_type="application/json", headers=headers)
        assert answer.status_code == 400

    def test_an_unknown_gateway_is_404(self, db: None) -> None:
        assert (
            APIClient().post("/payment/webhooks/nobody/", data=b"{}", content_type="x/y").status_code == 404
        )

    def test_control_believing_the_message_is_noticed(self, api: APIClient, payment: Payment) -> None:
        """Show, as a negative control, that a declined charge gets tickets if the message itself is believed."""
        pay(api, payment, "timeout_uncharged")
        work(payment)
        lapse()
        processing._settle(
            payment, Charge(outcome="succeeded", charged_minor=payment.amount_minor, currency="EUR")
        )
        with pytest.raises(AssertionError):
            audit()
