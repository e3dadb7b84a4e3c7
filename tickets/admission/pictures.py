"""Read the code of a ticket from a small grey picture, for browsers that cannot read QR codes themselves."""

import zxingcpp

QR_CODES = zxingcpp.barcode_formats_from_str("QRCode")
MOST_PIXELS = 640 * 640


class NotAPicture(ValueError):
    """The bytes are not a picture of this width, or the picture is too large."""


def code_of_picture(grey: bytes, *, width: int) -> str | None:
    """Return the text of the first QR code in a picture, or None if there is none; raise NotAPicture.

    `grey` has one byte for each pixel, row by row.
    """
    height, rest = divmod(len(grey), width)
    if rest or not height or len(grey) > MOST_PIXELS:
        raise NotAPicture
    picture = memoryview(grey).cast("B", (height, width))
    found = zxingcpp.read_barcodes(picture, formats=QR_CODES)
    return found[0].text if found else None
