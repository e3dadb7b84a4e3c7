"""Draw the QR codes of pages as a browser does, and read them as a phone does."""

import re

import zxingcpp
from PIL import Image, ImageDraw


def read(picture: Image.Image) -> list[str]:
    """Return the texts of the QR codes in a picture."""
    return [found.text for found in zxingcpp.read_barcodes(picture)]


def drawn(svg: str, *, scale: int = 6) -> Image.Image:
    """Draw the SVG of a QR code as a browser does: each `h` of its path is a line one module thick."""
    [side] = {int(number) for number in re.findall(r'viewBox="0 0 (\d+) \d+"', svg)}
    picture = Image.new("L", (side * scale, side * scale), 255)
    pen = ImageDraw.Draw(picture)
    [path] = re.findall(r'stroke="#000" d="([^"]+)"', svg)
    x = y = 0.0
    for command, numbers in re.findall(r"([Mmh])([-0-9. ]+)", path):
        given = [float(number) for number in numbers.split()]
        if command == "h":
            pen.rectangle(
                (x * scale, (y - 0.5) * scale, (x + given[0]) * scale - 1, (y + 0.5) * scale - 1), fill=0
            )
            x += given[0]
        elif command == "m":
            x, y = x + given[0], y + given[1]
        else:
            x, y = given
    return picture
