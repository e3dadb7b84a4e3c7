"""The catalogues of translations: find the texts in the code; read, update, check and encode the catalogues.

`manage.py translations` writes them, and a test compares them with the code. No program besides Python is needed.
"""

import ast
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.checkers import checkers
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.utils.translation import to_locale
from django.utils.translation.template import templatize

from overlord.shop.languages import has_catalogue

FOLDER = Path(settings.LOCALE_PATHS[0])
APPS = ("overlord", "tickets", "checkout", "realtime", "stats")
NOT_READ = {"tests", "migrations", "locale", "__pycache__"}
PAGES, SCRIPTS = "django", "djangojs"  # a language has two catalogues; Django calls them "domains"

KEYWORDS: dict[str, tuple[int | tuple[int, str], ...] | None] = {
    "_": None,
    "_lazy": None,
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}

# The names of the errors whose first argument is a sentence that a page can show.
SAY_WHY = {"ValueError", "WrongValue", "Invalid", "LineActionRefused", "LineClosed"}

# A file, a text (or its singular and plural), and the context of the text.
Found = tuple[str, str | tuple[str, ...], str | None]


def texts_of(domain: str) -> Iterator[Found]:
    """Yield each text of the code that the catalogue of a domain (PAGES or SCRIPTS) must have."""
    kinds = {PAGES: (".py", ".html", ".txt"), SCRIPTS: (".js",)}[domain]
    for app in APPS:
        for file in sorted((settings.BASE_DIR / app).rglob("*")):
            if file.suffix in kinds and not NOT_READ & set(file.relative_to(settings.BASE_DIR).parts):
                name = file.relative_to(settings.BASE_DIR).as_posix()
                yield from (
                    (name, text, context) for text, context in texts_in(file.suffix, file.read_text("utf-8"))
                )


def texts_in(suffix: str, source: str) -> Iterator[tuple[str | tuple[str, ...], str | None]]:
    """Yield the texts in the source of one file, each with its context; `suffix` is that of the file."""
    if suffix == ".py":
        nodes = list(ast.walk(ast.parse(source)))
        yield from _calls(nodes)
        yield from ((text, None) for text in _sentences(nodes))
        return
    if suffix != ".js":
        # Django turns a template into Python code: a call for each text, and placeholders for everything else.
        source = "\n".join(line.lstrip() for line in templatize(source).split("\n"))
    method, options = ("javascript" if suffix == ".js" else "python"), {"parse_template_string": True}
    for _line, text, _comments, context in extract(
        method, BytesIO(source.encode()), KEYWORDS, (), {"encoding": "utf-8", **options}
    ):
        yield text, context


def _calls(nodes: Iterable[ast.AST]) -> Iterator[tuple[str | tuple[str, ...], str | None]]:
    """Yield the texts that Python code gives to gettext, also inside f-strings, in which Babel finds none."""
    for node in nodes:
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        given = [
            each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)
        ]
        if name not in KEYWORDS or not given:
            continue
        context = given.pop(0) if "pgettext" in name else None
        yield (tuple(given[:2]) if name.startswith(("ngettext", "npgettext")) else given[0]), context


def _sentences(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the sentences of errors, also of those that are stored with a payment.

    The API sends these sentences in English. A page shows them in its own language (`error_messages.detail_of`).
    """
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id="sentence")], value=ast.Constant(value=str(text))):
                yield text
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=value)
            ) if name.endswith(("SENTENCE", "SENTENCES")):
                values = value.values if isinstance(value, ast.Dict) else [value]
                yield from (
                    each.value
                    for each in values
                    if isinstance(each, ast.Constant) and isinstance(each.value, str)
                )
            case ast.Raise(exc=ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=str(text))])):
                if name in SAY_WHY and text.endswith("."):
                    yield text


def languages() -> list[str]:
    """Return the languages that have catalogues."""
    return [code for code, _name in settings.LANGUAGES if has_catalogue(code)]


def file_of(language: str, domain: str, suffix: str) -> Path:
    """Return the path of a catalogue's file; `suffix` is "po" (for people) or "mo" (for Django)."""
    return FOLDER / to_locale(language) / "LC_MESSAGES" / f"{domain}.{suffix}"


def template(domain: str) -> Catalog:
    """Return a catalogue with the texts of the code and no translation."""
    catalog = Catalog(fuzzy=False)
    for name, text, context in texts_of(domain):
        catalog.add(text, locations=[(name, 0)], context=context)
    return catalog


def read(language: str, domain: str) -> Catalog:
    """Return the catalogue in the file; an empty catalogue for a new language."""
    file = file_of(language, domain, "po")
    if not file.exists():
        return Catalog(locale=to_locale(language), fuzzy=False)
    with file.open("rb") as opened:
        return read_po(opened, locale=to_locale(language))


def updated(language: str, domain: str) -> Catalog:
    """Return the catalogue with the texts that the code has now. New texts have no translation yet."""
    catalog = read(language, domain)
    catalog.update(template(domain), no_fuzzy_matching=True, update_creation_date=False)
    return catalog


def po(catalog: Catalog) -> bytes:
    """Return a catalogue as the bytes of a .po file. The same catalogue always gives the same bytes."""
    written = BytesIO()
    write_po(
        written,
        catalog,
        omit_header=True,
        include_lineno=False,
        sort_output=True,
        ignore_obsolete=True,
        width=0,
    )
    head = f'msgid ""\nmsgstr ""\n"Language: {catalog.locale}\\n"\n"Content-Type: text/plain; charset=UTF-8\\n"\n'
    return f'{head}"Plural-Forms: {catalog.plural_forms}\\n"\n\n'.encode() + written.getvalue()


def mo(content: bytes, language: str) -> bytes:
    """Return the bytes of the .mo file for the bytes of a .po file. The same texts always give the same bytes."""
    catalog = read_po(BytesIO(content), locale=to_locale(language))
    catalog.creation_date = catalog.revision_date = datetime(2026, 1, 1, tzinfo=UTC)
    written = BytesIO()
    write_mo(written, catalog)
    return written.getvalue()


def mistakes(catalog: Catalog) -> Iterator[str]:
    """Yield a sentence for each mistake: a translation that is missing, guessed, or has other placeholders."""
    for message in catalog:
        if not message.id:
            continue
        translations = message.string if isinstance(message.string, tuple | list) else (message.string,)
        if not all(translations):
            yield f"not translated: {message.id!r}"
        elif message.fuzzy:
            yield f"fuzzy: {message.id!r}"
        else:
            yield from (f"{error}: {message.id!r}" for error in _wrong_values(catalog, message))


def _wrong_values(catalog: Catalog, message: Message) -> Iterator[Exception]:
    for check in checkers:
        try:
            check(catalog, message)
        except Exception as error:  # noqa: BLE001  # for a malformed placeholder, Babel may raise any error
            yield error
