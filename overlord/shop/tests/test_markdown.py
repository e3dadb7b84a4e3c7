"""Texts in Markdown: pages show them as HTML, and no text runs a script in another person's browser."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlord.shop.markdown import ATTRIBUTES, TAGS, to_html, to_line


class _Elements(HTMLParser):
    """A parser that collects the elements of a piece of HTML, with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def check_is_harmless(html: str) -> None:
    for tag, attributes in _Elements(html).found:
        assert tag in TAGS
        assert {*attributes} <= {*ATTRIBUTES.get(tag, set()), "rel"}
        address = attributes.get("href") or ""
        assert not address.split("/")[0].lower().strip().startswith(("javascript", "data", "vbscript"))


def test_usual_marks_become_html() -> None:
    html = to_html("Come **early**:\n\n- bring *tea*\n- and a friend\n\nfirst\nsecond")
    assert "<strong>early</strong>" in html
    assert "<li>bring <em>tea</em></li>" in html
    assert "first<br>\nsecond" in html


def test_headings_come_below_that_of_the_page() -> None:
    assert to_html("# One\n\n###### Six") == "<h2>One</h2>\n<h6>Six</h6>\n"


def test_links_tell_nothing_and_open_only_known_kinds_of_addresses() -> None:
    assert 'href="https://example.org"' in to_html("[a](https://example.org)")
    assert 'rel="noopener noreferrer nofollow"' in to_html("[a](https://example.org)")
    assert "mailto:a@example.org" in to_html("<mailto:a@example.org>")
    assert "href" not in to_html("[a](ftp://example.org)")


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[a](javascript:alert(1))",
        "[a](JaVaScRiPt&#58;alert(1))",
        "[a](&#x6A;avascript:alert(1))",
        "<javascript:alert(1)>",
        "[a](data:text/html,<script>alert(1)</script>)",
        '[a](https://example.org" onclick="alert(1))',
        '[a](https://example.org "t\\" onclick=\\"alert(1)")',
        "<svg/onload=alert(1)>",
        "<style>*{display:none}</style>",
        "<iframe src=https://example.org></iframe>",
        "![a](https://example.org/pixel.png)",
        "```<script>\nalert(1)\n```",
        "<a href='javascript:alert(1)'>x</a>",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
    ],
)
def test_nothing_runs_and_nothing_is_fetched(text: str) -> None:
    check_is_harmless(to_html(text))


@given(st.text(alphabet="<>[]()!*_`#&;:\"'=/ \njavscripthef0x", max_size=80))
def test_no_text_makes_anything_else_than_what_is_allowed(text: str) -> None:
    check_is_harmless(to_html(text))


def test_the_sanitiser_works_without_the_parsers_help(monkeypatch: pytest.MonkeyPatch) -> None:
    from markdown_it import MarkdownIt

    from overlord.shop import markdown

    monkeypatch.setattr(markdown, "_parser", MarkdownIt("commonmark", {"html": True}))
    written = markdown.to_html.__wrapped__("<script>alert(1)</script><b onclick=x>b</b><img src=x onerror=y>")
    assert "<" not in written.replace("<p>", "").replace("</p>", "")


def test_a_line_has_no_marks() -> None:
    assert to_line("# Gala\n\nWith **tea** & <b>\n- one") == "Gala With tea & <b> one"
