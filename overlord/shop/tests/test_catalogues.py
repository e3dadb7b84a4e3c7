"""Every text of the code is in the catalogue of each language, and the compiled files equal the sources."""

import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from django.conf import settings
from django.core.management import call_command
from django.utils import translation
from django.utils.translation import gettext

from overlord.shop import catalogues
from overlord.shop.tests.unmarked import unmarked

LANGUAGES = catalogues.languages()
DOMAINS = (catalogues.PAGES, catalogues.SCRIPTS)
# In German buyers are Käufer, and staff are the Team.
OTHER_GERMAN_WORDS = re.compile(r"Käuferin|\bKund(e|in)|\bPersonals?\b|Mitarbeit(ende|erin)")


def po(*messages: str) -> Catalog:
    return read_po(BytesIO("\n\n".join(messages).encode()), locale="de")


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_is_compiled(language: str, domain: str) -> None:
    """Run `manage.py translations` if this fails: it compiles the catalogue."""
    content = catalogues.file_of(language, domain, "po").read_bytes()
    compiled = catalogues.file_of(language, domain, "mo").read_bytes()
    assert compiled == catalogues.mo(content, language)
    assert compiled != catalogues.mo(content + b'\nmsgid "Planted"\nmsgstr "Gesetzt"\n', language)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_of_the_code_is_translated(language: str, domain: str) -> None:
    """Run `manage.py translations` if this fails: it writes missing texts into the catalogue and lists them."""
    assert list(catalogues.mistakes(catalogues.updated(language, domain))) == []


@pytest.mark.parametrize(
    ("message", "mistake"),
    [
        ('msgid "New"\nmsgstr ""', "not translated"),
        ('#, fuzzy\nmsgid "New"\nmsgstr "Neu"', "fuzzy"),
        ('#, python-format\nmsgid "%(n)s left"\nmsgstr "%(m)s da"', "unknown named placeholder"),
        ('msgid "%(n)s"\nmsgid_plural "%(n)s all"\nmsgstr[0] "%(n)s"\nmsgstr[1] ""', "not translated"),
    ],
)
def test_a_mistake_is_found(message: str, mistake: str) -> None:
    right = '#, python-format\nmsgid "%(n)s right"\nmsgstr "%(n)s da"'
    assert list(catalogues.mistakes(po(right))) == []
    (found,) = catalogues.mistakes(po(right, message))
    assert mistake in found


@pytest.mark.parametrize(
    ("suffix", "source", "texts"),
    [
        (".py", '_("One") + ngettext("%(n)s two", "%(n)s twos", n)', ["One", ("%(n)s two", "%(n)s twos")]),
        (".py", "f'{a} {_(\"One\")}'", ["One"]),
        (".py", 'class Late(Gone):\n    sentence = "It is late."', ["It is late."]),
        (".py", 'LATE_SENTENCE = "It is late."', ["It is late."]),
        (
            ".py",
            'SENTENCES: dict[str, str] = {"a": "It is late.", "b": "It is early."}',
            ["It is late.", "It is early."],
        ),
        (".py", 'LATE = "late"', []),
        (".py", 'raise ValueError("Write less.")', ["Write less."]),
        (".html", '<p>{% translate "One" %}\n  {{ x|default:_("None") }}</p>', ["One", "None"]),
        (".html", "{% blocktranslate with a=b %}Two {{ a }}{% endblocktranslate %}", ["Two %(a)s"]),
        (".txt", '{% load i18n %}{% translate "One" %}', ["One"]),
        (".js", 'x = `${text} ${gettext("One")}`;', ["One"]),
        (".js", 'import { gettext } from "x"; gettext(`a`); gettext("One", { n });', ["a", "One"]),
    ],
)
def test_texts_are_found(suffix: str, source: str, texts: list[str | tuple[str, ...]]) -> None:
    assert [text for text, _ in catalogues.texts_in(suffix, source)] == texts


@pytest.mark.slow
def test_a_new_language_begins_with_all_texts(settings: Any, tmp_path: Path, capsys) -> None:
    settings.LANGUAGES = [*settings.LANGUAGES, ("fr", "Français")]
    german = {name: catalogues.file_of("de", name, "po").read_bytes() for name in DOMAINS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogues, "FOLDER", tmp_path)
        for name, content in german.items():
            file = catalogues.file_of("de", name, "po")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        call_command("translations")
        assert "fr: not translated: 'My tickets'" in capsys.readouterr().out
        assert b'msgid "My tickets"' in (tmp_path / "fr/LC_MESSAGES/django.po").read_bytes()
        with pytest.raises(SystemExit):
            call_command("translations", check=True)


@pytest.mark.parametrize("domain", DOMAINS)
def test_german_has_one_word_for_one_thing(domain: str) -> None:
    others = [
        each.string for each in catalogues.read("de", domain) if OTHER_GERMAN_WORDS.search(str(each.string))
    ]
    assert others == []
    assert OTHER_GERMAN_WORDS.search("Die Käuferin oder der Käufer")


def test_django_reads_the_catalogue() -> None:
    with translation.override("de"):
        assert gettext("My tickets") == "Meine Tickets"


class TestUnmarked:
    """The texts of templates that have no mark for translation."""

    def test_every_template_marks_its_texts(self) -> None:
        assert unmarked() == []

    @pytest.mark.parametrize(
        ("template", "found"),
        [
            ("<p>{{ name }}: Hello</p>", ["Hello"]),
            ('<input placeholder="Name">', ["Name"]),
            ('<a href="{% url "home" %}" aria-label="Go {{ x }}">×</a>', ["Go"]),
            ('{% load i18n %}<p class="big">{% translate "Hello" %} · {{ a }}</p>', []),
            (
                "{% blocktranslate %}Hello{% endblocktranslate %}{# no text #}{% comment %}No{% endcomment %}",
                [],
            ),
        ],
    )
    def test_an_unmarked_text_is_found(self, template: str, found: list[str]) -> None:
        assert unmarked({"planted.html": template}) == [f"planted.html: {each}" for each in found]


def test_pages_tell_a_refusal_in_the_readers_language() -> None:
    pages = [file for app in catalogues.APPS for file in (settings.BASE_DIR / app).rglob("*pages.py")]
    assert len(pages) > 20
    in_english = ("refused.detail", "str(refused)")
    said_in_english = [
        file.name for file in pages if any(each in file.read_text("utf-8") for each in in_english)
    ]
    assert said_in_english == [], "error_messages.detail_of(refused) is in the language of the page"
