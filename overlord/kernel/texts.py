"""Read texts that people write: names, addresses, paragraphs. Refuse characters that no page or mail can show."""

import re
import unicodedata

from overlord.kernel.errors import WrongValue

EMAIL_LENGTH = 254  # the longest address by RFC 5321
PERSON_NAME_LENGTH = 150
CLEAR_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # without characters that people confuse: 0 and O, 1 and I
# A regular expression of PostgreSQL for characters that a name on one line must not have: control characters, and
# separators of lines and paragraphs.
NOT_IN_A_LINE = r"[\u0001-\u001f\u007f-\u009f\u2028\u2029]"


def one_line(text: str, *, most: int) -> str:
    """Return a name on one line, with single spaces; raise ValueError, with a sentence, if it cannot be a name.

    Names are used in headers of mails, in file names, and on one line of a page.
    """
    line = " ".join(text.split())
    if not line:
        raise ValueError("This field must not be empty.")
    return _checked(line, most=most)


def paragraphs(text: str, *, most: int) -> str:
    """Return a text with line feeds as the only line ends, and without white space before them.

    Empty lines at the start and at the end are removed. Raise ValueError, with a sentence, if the text is too long
    or has a control character.
    """
    lines = "\n".join(line.rstrip() for line in re.split(r"\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]", text))
    return _checked(lines.strip("\n"), most=most, allowed="\n\t")


def name_key(name: str) -> str:
    """Return the key by which names, addresses or codes are compared.

    Case does not count, and variants of a character (NFKC), such as full-width letters, are equal. PostgreSQL has
    its own function for this key, `accounts_name_key`. If the two differ, the key of PostgreSQL counts.
    """
    return unicodedata.normalize("NFKC", name).casefold()


def _checked(text: str, *, most: int, allowed: str = "") -> str:
    if any(unicodedata.category(each) in ("Cc", "Cs") and each not in allowed for each in text):
        raise ValueError(
            "This text contains a control character or an invalid character. Remove this character."
        )
    if len(text) > most:
        raise WrongValue(
            "This text has %(n)s characters. At most %(most)s are allowed.", n=len(text), most=most
        )
    return text
