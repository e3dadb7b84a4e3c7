"""Texts in templates without a mark for translation."""

import re
from collections.abc import Iterator, Mapping

from django.conf import settings
from django.template.base import Lexer, Token, TokenType

from overlord.shop.catalogues import APPS

SAID = re.compile(
    r'\b(?:aria-label|placeholder|title|alt|data-busy|data-label|data-title|data-meaning)="([^"]*)"'
)
MARKUP = re.compile(r"<!--.*?-->|<[^<>]*>", re.DOTALL)
WORD = re.compile(r"[^\W\d_]{2,}")
VALUE = "\0"  # in place of the values that a template fills in
# Names that are the same in all languages, and units.
NAMES = {"Ticket Overlord", "nbsp"}
NOT_READ = {"admin_refund.html", "admin_return.html"}  # the admin's, in English


def templates() -> Mapping[str, str]:
    """Return the source of each template, by its name."""
    found = {}
    for app in APPS:
        for file in sorted((settings.BASE_DIR / app).rglob("templates/**/*")):
            if file.suffix in (".html", ".txt") and file.name not in NOT_READ:
                found[file.relative_to(settings.BASE_DIR).as_posix()] = file.read_text("utf-8")
    return found


def unmarked(sources: Mapping[str, str] | None = None) -> list[str]:
    """Return each text that is not marked, with the template that says it."""
    found = []
    for name, source in (templates() if sources is None else sources).items():
        rest = "".join(_parts(source))
        texts = [each for attribute in SAID.findall(rest) for each in attribute.split(VALUE)]
        texts += re.split(f"[{VALUE}\n]", MARKUP.sub("\n", rest))
        found += [f"{name}: {each.strip(' :,.')}" for each in texts if WORD.search(_without_names(each))]
    return found


def _without_names(text: str) -> str:
    for name in NAMES:
        text = text.replace(name, "")
    return text


def _parts(source: str) -> Iterator[str]:
    """Yield the text of a template, with VALUE for each value; marked texts are left out."""
    ends_with = ""
    for token in Lexer(source).tokenize():
        tag = _tag(token)
        if ends_with:
            ends_with = "" if tag == ends_with else ends_with
        elif tag in ("blocktranslate", "comment"):
            ends_with = f"end{tag}"
        elif token.token_type == TokenType.BLOCK and token.contents == "block page":
            # The block is a class of the element `body`, and no text.
            ends_with = "endblock"
        elif token.token_type == TokenType.TEXT:
            yield token.contents
        elif token.token_type != TokenType.COMMENT:
            yield VALUE


def _tag(token: Token) -> str:
    return token.split_contents()[0] if token.token_type == TokenType.BLOCK else ""
