"""Read a file with variables: `.env`, and that of `bin/up`. Each process does this as it imports the settings."""

import io
import os
import re
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

VARIABLE = re.compile(r"(export )?[A-Za-z_0-9]+=.*")


def read(file: Path) -> None:
    """Set those variables that are not set yet to the values in a file, if it exists. Empty values are ignored.

    Raise ImproperlyConfigured if the file or one of its lines cannot be read. No error quotes a line, because it
    can contain a secret.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte order mark
    except (FileNotFoundError, NotADirectoryError):
        return
    except PermissionError:
        raise ImproperlyConfigured(f"{file} cannot be read: run this as the user that owns it.") from None
    except (IsADirectoryError, UnicodeDecodeError):
        raise ImproperlyConfigured(f"{file} cannot be read: it must be a text file in UTF-8.") from None

    class Found(environ.Env):
        ENVIRON: dict[str, str] = {}

    Found.read_env(io.StringIO("\n".join(_variables(file, text))))
    for name, value in Found.ENVIRON.items():
        if value and not os.environ.get(name):
            os.environ[name] = value


def _variables(file: Path, text: str) -> list[str]:
    """Return the lines that set variables; raise ImproperlyConfigured for a line that is of no known form."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not VARIABLE.fullmatch(line):
            raise ImproperlyConfigured(
                f"{file}, line {number}, cannot be read: write NAME=value, with no blank before the = or the name."
            )
        found.append(line)
    return found
