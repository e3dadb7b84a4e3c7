"""The logs and the process list of a running system contain no secret."""

from collections.abc import Callable

import httpx
import psutil
import pytest
from django.conf import settings

from tests.system import System, eventually
from tickets.models import TicketType

pytestmark = pytest.mark.processes

PASSWORD = "correct horse-9e1f"
CARD = "tok_card_4242424242424242"


def use(system: System, ticket_type: TicketType) -> list[str]:
    """Sign up, log in, fail to log in, buy, and ask for a new password; return all secrets of this."""
    account = {"username": "secret-keeper", "email": "secret-keeper@example.org", "password": PASSWORD}
    client = system.opened.enter_context(httpx.Client(base_url=system.url, timeout=30))
    assert client.post("/register/", json=account).status_code == 201
    wrong = {"username": "secret-keeper", "password": PASSWORD + "x"}
    assert client.post("/api-auth/login/", json=wrong).status_code == 400
    answer = client.post("/api-auth/login/", json={**wrong, "password": PASSWORD})
    token, session = answer.json()["token"], client.cookies["sessionid"]
    client.cookies.clear()
    client.headers["Authorization"] = f"Token {token}"
    held = client.post("/event/reservations/", json={"ticket_type": ticket_type.pk, "amount": 1}).json()
    payment = client.post("/payment/payments/", json={"reservation_id": held["id"]}).json()
    paid = f"/payment/payments/{payment['id']}/"
    assert client.post(f"{paid}pay/", json={"token": CARD}).status_code == 202
    eventually(lambda: client.get(paid).json()["payment_status"] == "SUCCESS")
    client.post("/nowhere/", content=b"\x00" + PASSWORD.encode())
    client.get("/me/", headers={"Cookie": f"sessionid={session}", "X-Secret": token})
    return [PASSWORD, token, session, CARD, settings.SECRET_KEY]


def test_logs_and_the_process_list_contain_no_secret(
    system: System, ticket_type_make: Callable[..., TicketType]
) -> None:
    secrets = use(system, ticket_type_make())
    logs = {file.name: file.read_text(errors="replace") for file in system.logs.rglob("*.log")}
    assert any("reservation_claimed" in text for text in logs.values()), "these are the logs"
    assert [(name, secret) for name, text in logs.items() for secret in secrets if secret in text] == []
    shown = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    for known in (*secrets, settings.DATABASES["default"]["PASSWORD"]):
        assert not [line for line in shown if known in line]
