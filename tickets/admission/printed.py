"""The content of a PDF, as it is sent to the process that draws it (`pdf_process`), and the answer's first byte."""

from typing import TypedDict

Lines = list[tuple[str, float]]  # a text and the size of its letters
DRAWN, FAILED = b"\0", b"\1"


class Page(TypedDict):
    """One page: the code of a ticket, and the texts above and below the code."""

    title: str
    code: str
    above: Lines
    below: Lines


class Printed(TypedDict):
    """All pages of a PDF, and the names of its program and its author."""

    creator: str
    author: str
    pages: list[Page]
