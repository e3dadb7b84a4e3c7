"""Texts as people write them: on one line, or in paragraphs, without characters that no page or mail can show."""

import re
import unicodedata

from overlord.kernel.errors import WrongValue


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


def _checked(text: str, *, most: int, allowed: str = "") -> str:
    if any(unicodedata.category(each) in ("Cc", "Cs") and each not in allowed for each in text):
        raise ValueError("This contains a control character or an invalid character. Remove it.")
    if len(text) > most:
        raise WrongValue("This has %(n)s characters. At most %(most)s are allowed.", n=len(text), most=most)
    return text
