"""The content of a PDF, as it goes to the process that draws it (`pdf_process`), and how its answer begins."""

from typing import TypedDict

Lines = list[tuple[str, float]]  # a text and the size of its letters
DRAWN, FAILED = b"\0", b"\1"


class Page(TypedDict):
    """A ticket as a page shows it: the code, and the texts above and below it."""

    title: str
    code: str
    above: Lines
    below: Lines


class Printed(TypedDict):
    """All pages, and what the PDF says of itself."""

    creator: str
    author: str
    pages: list[Page]
