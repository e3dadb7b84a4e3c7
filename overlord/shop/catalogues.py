"""The catalogues of translations: the texts in the code, their translations, and the form that Django reads.

`manage.py translations` writes them, a test compares them with the code. Only Python is needed.
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

FOLDER = Path(settings.LOCALE_PATHS[0])
APPS = ("overlord", "tickets", "checkout", "realtime", "stats")
NOT_READ = {"tests", "migrations", "locale", "__pycache__"}
PAGES, SCRIPTS = "django", "djangojs"  # Django's names of the two catalogues of a language

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

# These errors are raised with a sentence that a page shows.
SAY_WHY = {"ValueError", "WrongValue", "Invalid", "LineActionRefused", "LineClosed"}

Found = tuple[str, str | tuple[str, ...], str | None]  # a file, its text or its texts, and their context


def texts_of(domain: str) -> Iterator[Found]:
    """Yield each text of the code that a catalogue must have."""
    kinds = {PAGES: (".py", ".html", ".txt"), SCRIPTS: (".js",)}[domain]
    for app in APPS:
        for file in sorted((settings.BASE_DIR / app).rglob("*")):
            if file.suffix in kinds and not NOT_READ & set(file.relative_to(settings.BASE_DIR).parts):
                name = file.relative_to(settings.BASE_DIR).as_posix()
                yield from (
                    (name, text, context) for text, context in texts_in(file.suffix, file.read_text("utf-8"))
                )


def texts_in(suffix: str, source: str) -> Iterator[tuple[str | tuple[str, ...], str | None]]:
    """Yield the texts of one file."""
    if suffix == ".py":
        nodes = list(ast.walk(ast.parse(source)))
        yield from _calls(nodes)
        yield from ((text, None) for text in _sentences(nodes))
        return
    if suffix != ".js":
        # Django replaces a template by Python calls for its texts, and by placeholders for everything else.
        source = "\n".join(line.lstrip() for line in templatize(source).split("\n"))
    method, options = ("javascript" if suffix == ".js" else "python"), {"parse_template_string": True}
    for _line, text, _comments, context in extract(
        method, BytesIO(source.encode()), KEYWORDS, (), {"encoding": "utf-8", **options}
    ):
        yield text, context


def _calls(nodes: Iterable[ast.AST]) -> Iterator[tuple[str | tuple[str, ...], str | None]]:
    """Yield the texts that Python gives to gettext, also within an f-string, where Babel sees none."""
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
    """Yield the sentences of errors, also those that are kept with a payment.

    The API sends them in English, a page in its language (`error_messages.detail_of`).
    """
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id="sentence")], value=ast.Constant(value=str(text))):
                yield text
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=value)
            ) if name.endswith(("SENTENCE", "SENTENCES")):
                said = value.values if isinstance(value, ast.Dict) else [value]
                yield from (
                    each.value
                    for each in said
                    if isinstance(each, ast.Constant) and isinstance(each.value, str)
                )
            case ast.Raise(exc=ast.Call(func=ast.Name(id=name), args=[ast.Constant(value=str(text))])):
                if name in SAY_WHY and text.endswith("."):
                    yield text


def languages() -> list[str]:
    """Return the languages that have catalogues. English has none, because the texts in the code are English."""
    return [code for code, _name in settings.LANGUAGES if code.partition("-")[0] != "en"]


def file_of(language: str, domain: str, suffix: str) -> Path:
    """Return where a catalogue is; `suffix` is po for people or mo for Django."""
    return FOLDER / to_locale(language) / "LC_MESSAGES" / f"{domain}.{suffix}"


def template(domain: str) -> Catalog:
    """Return a catalogue with the texts of the code and no translation."""
    catalog = Catalog(fuzzy=False)
    for name, text, context in texts_of(domain):
        catalog.add(text, locations=[(name, 0)], context=context)
    return catalog


def read(language: str, domain: str) -> Catalog:
    """Return a catalogue as its file has it; an empty one for a new language."""
    file = file_of(language, domain, "po")
    if not file.exists():
        return Catalog(locale=to_locale(language), fuzzy=False)
    with file.open("rb") as opened:
        return read_po(opened, locale=to_locale(language))


def updated(language: str, domain: str) -> Catalog:
    """Return a catalogue with the texts that the code has now: new ones without a translation, old ones gone."""
    catalog = read(language, domain)
    catalog.update(template(domain), no_fuzzy_matching=True, update_creation_date=False)
    return catalog


def po(catalog: Catalog) -> bytes:
    """Write a catalogue as a file for translators. The same catalogue always gives the same bytes."""
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
    """Compile what `po` wrote into what Django reads. The same texts always give the same bytes."""
    catalog = read_po(BytesIO(content), locale=to_locale(language))
    catalog.creation_date = catalog.revision_date = datetime(2026, 1, 1, tzinfo=UTC)
    written = BytesIO()
    write_mo(written, catalog)
    return written.getvalue()


def mistakes(catalog: Catalog) -> Iterator[str]:
    """Yield each mistake: a missing translation, a guessed one, or one with other placeholders than the text."""
    for message in catalog:
        if not message.id:
            continue
        said = message.string if isinstance(message.string, tuple | list) else (message.string,)
        if not all(said):
            yield f"not translated: {message.id!r}"
        elif message.fuzzy:
            yield f"fuzzy: {message.id!r}"
        else:
            yield from (f"{error}: {message.id!r}" for error in _wrong_values(catalog, message))


def _wrong_values(catalog: Catalog, message: Message) -> Iterator[Exception]:
    for check in checkers:
        try:
            check(catalog, message)
        except Exception as error:  # noqa: BLE001  # Babel raises its own and others for a malformed placeholder
            yield error
