"""Texts as people write them: names, addresses and paragraphs, without characters that no page or mail can show."""

import re
import unicodedata

from overlord.kernel.errors import WrongValue

EMAIL_LENGTH = 254  # that RFC 5321 leaves for an address
PERSON_NAME_LENGTH = 150
CLEAR_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # without what people confuse: 0 and O, 1 and I
# What a name on one line has none of, for PostgreSQL: control characters, and separators of lines and paragraphs.
NOT_IN_A_LINE = r"[\u0001-\u001f\u007f-\u009f\u2028\u2029]"


def one_line(text: str, *, most: int) -> str:
    """Return a name on one line, with single spaces; raise ValueError, with a sentence, for what cannot be one.

    Names stand in headers of mails, in file names and on one line of a page.
    """
    line = " ".join(text.split())
    if not line:
        raise ValueError("This must not be empty.")
    return _checked(line, most=most)


def paragraphs(text: str, *, most: int) -> str:
    """Return a text of several lines, which end in line feeds; raise ValueError, with a sentence."""
    lines = "\n".join(line.rstrip() for line in re.split(r"\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]", text))
    return _checked(lines.strip("\n"), most=most, allowed="\n\t")


def name_key(name: str) -> str:
    """Return what makes two names, addresses or codes the same: compatible characters and case are equal.

    PostgreSQL compares by `accounts_name_key` and has the last word.
    """
    return unicodedata.normalize("NFKC", name).casefold()


def _checked(text: str, *, most: int, allowed: str = "") -> str:
    if any(unicodedata.category(each) in ("Cc", "Cs") and each not in allowed for each in text):
        raise ValueError("This contains a control character or an invalid character. Remove it.")
    if len(text) > most:
        raise WrongValue("This has %(n)s characters. At most %(most)s are allowed.", n=len(text), most=most)
    return text
