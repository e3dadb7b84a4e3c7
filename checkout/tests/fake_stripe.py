"""A fake of Stripe's refunds and their keys, over HTTP, as localstripe keeps no keys and refunds at once.

The first answer to a key is stored and repeated, a 500 too, whatever happens to the refund. The same key with
another body is an error. `forget_keys` does what Stripe may do after a day.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

Answer = tuple[int, dict[str, Any]]


class FakeStripe:
    """The refunds of one intent."""

    def __init__(self, *, charged: int) -> None:
        self.charged = charged
        self.refunds: list[dict[str, Any]] = []  # the newest first
        self.status = "succeeded"  # of a refund that is made
        self.fault: Literal["", "500", "lost"] = ""
        self.posted = 0
        self.url = ""
        self._answers: dict[str, tuple[dict[str, str], Answer]] = {}

    def forget_keys(self) -> None:
        self._answers.clear()

    def conclude(self, status: str) -> None:
        """Give the newest refund its final status."""
        self.refunds[0]["status"] = status

    def add(self, form: dict[str, str], *, status: str) -> Answer:
        """Make a refund, or refuse one that is more than the rest of the charge."""
        amount = int(form["amount"])
        held = sum(each["amount"] for each in self.refunds if each["status"] != "failed")
        if held + amount > self.charged:
            return 400, {"error": {"type": "invalid_request_error", "message": "too much"}}
        made = {
            "id": f"re_{len(self.refunds) + 1}",
            "object": "refund",
            "amount": amount,
            "status": status,
            "payment_intent": form["payment_intent"],
            "metadata": {name[9:-1]: value for name, value in form.items() if name.startswith("metadata[")},
        }
        self.refunds.insert(0, made)
        return 200, dict(made)

    def post(self, key: str, form: dict[str, str]) -> Answer:
        self.posted += 1
        if key in self._answers:
            first, answer = self._answers[key]
            if first != form:
                return 400, {"error": {"type": "idempotency_error", "message": "another body"}}
            return answer
        failed = (500, {"error": {"type": "api_error", "message": "failed"}})
        answer = failed if self.fault == "500" else self.add(form, status=self.status)
        self._answers[key] = (form, answer)
        return answer

    def get(self, path: str, asked: dict[str, str]) -> Answer:
        if path == "/v1/payment_intents":
            return 200, {"object": "list", "url": path, "has_more": False, "data": []}
        if path == "/v1/refunds":
            since = float(asked.get("created[gte]", 0))
            mine = [
                each
                for each in self.refunds
                if each["payment_intent"] == asked.get("payment_intent", each["payment_intent"])
                and each.get("created", since) >= since
            ]
            return 200, {"object": "list", "url": path, "has_more": False, "data": mine}
        for each in self.refunds:
            if path == f"/v1/refunds/{each['id']}":
                return 200, each
        return 404, {"error": {"type": "invalid_request_error", "message": "no such refund"}}


@contextmanager
def running(fake: FakeStripe) -> Iterator[FakeStripe]:
    """Serve a fake on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            self._say(fake.get(url.path, dict(parse_qsl(url.query))))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            answer = fake.post(self.headers["Idempotency-Key"], dict(parse_qsl(body)))
            if fake.fault == "lost":
                self.close_connection = True
            else:
                self._say(answer)

        def _say(self, answer: Answer) -> None:
            body = json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Stripe-Should-Retry", "false")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        fake.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()
