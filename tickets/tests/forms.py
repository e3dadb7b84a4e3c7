"""A form as in a browser: it sends the values that it shows."""

from html.parser import HTMLParser
from typing import Any

from django.test import Client


class _Fields(HTMLParser):
    """A parser that collects the fields of a page, as a browser would send them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._area = self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name, kind = given.get("name", ""), given.get("type", "text")
        if tag == "input" and name and kind not in ("submit", "button"):
            if kind not in ("checkbox", "radio"):
                self.found[name] = given.get("value", "")
            elif "checked" in given:
                self.found[name] = given.get("value", "on")
        elif tag == "textarea":
            self._area, self.found[name] = name, ""
        elif tag == "select":
            self._select = name
        elif tag == "option" and "selected" in given:
            self.found[self._select] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self.found[self._area] = self.found[self._area].removeprefix("\n")
            self._area = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.found[self._area] += data


def fields_of(page: Any) -> dict[str, str]:
    """Return the fields of a page with their values."""
    parser = _Fields()
    parser.feed(page.content.decode())
    return parser.found


class Form:
    """The admin's form of an event in one browser."""

    def __init__(self, client: Client, url: str) -> None:
        self.client, self.url = client, url
        self.fields = fields_of(client.get(url))

    def send(self, **changes: str) -> Any:
        """Send the form with some fields changed; `type0_price` is a field of the first ticket type."""
        for name, value in changes.items():
            prefix, _, field = name.partition("_")
            is_of_type = prefix[:4] == "type" and prefix[4:].isdigit()
            self.fields[f"ticket_types-{prefix[4:]}-{field}" if is_of_type else name] = value
        answer = self.client.post(self.url, self.fields)
        if answer.status_code != 302:
            self.fields = fields_of(answer)
        return answer
