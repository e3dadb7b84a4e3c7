"""Read a file with variables: `.env`, and that of `bin/up`. Each process does this as it imports the settings.

What must stay true: Docker Compose reads `.env` too, with rules of its own for quotes, comments and the sign $
(https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/). Both read the same values
in the same file. So a line that Compose would read in another way, or not at all, is refused.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

VARIABLE = re.compile(r"(?:export )?([A-Za-z_0-9]+)=(.*)")
# What may follow a value in quotes.
_END = r"\s*(?:#.*)?"
SINGLE_QUOTED = re.compile(rf"'((?:[^'\\]|\\.)*)'{_END}")
# In double quotes Compose also replaces variables and other escapes.
DOUBLE_QUOTED = re.compile(rf'"((?:[^"\\$]|\\["\\])*)"{_END}')


def read(file: Path) -> None:
    """Set those variables that are not set yet to the values in `.env`, if it exists. Empty values are ignored.

    Raise ImproperlyConfigured if the file or one of its lines cannot be read. No error quotes a line, because it
    can contain a secret.
    """
    _set({name: _value(where, text) for where, name, text in _lines(file)})


def read_written(file: Path) -> None:
    """Do what `read` does, with the file of `bin/up`: there a value is all that follows the equals sign."""
    _set({name: text for _where, name, text in _lines(file)})


def _set(found: Mapping[str, str]) -> None:
    for name, value in found.items():
        if value and not os.environ.get(name):
            os.environ[name] = value


def _lines(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield for each variable: where it is in the file, its name, and the text after the equals sign."""
    for number, line in enumerate(_text(file).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"{file}, line {number}, cannot be read"
        if not (variable := VARIABLE.fullmatch(line)):
            raise ImproperlyConfigured(f"{where}: write NAME=value, with no blank before the = or the name.")
        yield where, variable[1], variable[2]


def _text(file: Path) -> str:
    """Return the content of the file, "" if there is none."""
    try:
        return file.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte order mark
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except PermissionError:
        raise ImproperlyConfigured(f"{file} cannot be read: run this as the user that owns it.") from None
    except (IsADirectoryError, UnicodeDecodeError):
        raise ImproperlyConfigured(f"{file} cannot be read: it must be a text file in UTF-8.") from None


def _value(where: str, text: str) -> str:
    """Return the value that Compose reads in the text after the equals sign; raise ImproperlyConfigured."""
    text = text.strip()
    if text.startswith("'"):
        if quoted := SINGLE_QUOTED.fullmatch(text):
            return quoted[1].replace(r"\'", "'")
    elif text.startswith('"'):
        if quoted := DOUBLE_QUOTED.fullmatch(text):
            return re.sub(r"\\(.)", r"\1", quoted[1])
    else:
        value = text.partition(" #")[0].rstrip()
        if "$" not in value and not value.startswith("#"):
            return value
    raise ImproperlyConfigured(
        f"{where}: write a value with $, quotation marks, or a # at its beginning in single quotes, and a single"
        r" quote in it as \'. A comment begins with a blank and #, and needs a value before it."
    )
