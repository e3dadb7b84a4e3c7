"""Uploaded pictures: some are refused with a sentence, and no metadata is kept."""

import io
import struct
import zlib
from typing import Any

import pytest
from PIL import ExifTags, Image

from overlord.shop import pictures
from overlord.shop.pictures import PictureRefused, name_of, picture_read


def file_of(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    output = io.BytesIO()
    picture.save(output, kind, **options)
    return output.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_is_kept_in_two_widths_and_two_formats(kind: str) -> None:
    files = picture_read(file_of(Image.new("RGB", (3000, 2000), "teal"), kind))
    found = {suffix: (opened(content).format, opened(content).size) for suffix, content in files.items()}
    assert found == {
        ".webp": ("WEBP", (1200, 800)),
        ".jpg": ("JPEG", (1200, 800)),
        "-small.webp": ("WEBP", (480, 320)),
        "-small.jpg": ("JPEG", (480, 320)),
    }


def test_a_small_picture_is_not_made_larger() -> None:
    assert opened(picture_read(file_of(Image.new("RGB", (300, 200))))["-small.jpg"]).size == (300, 200)


def test_a_photograph_is_upright_and_has_no_metadata() -> None:
    photograph = Image.new("RGB", (800, 400), "red")
    photograph.paste("blue", (0, 0, 400, 400))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # the camera was turned, so the picture must be turned to the right
    exif[ExifTags.Base.Make] = "Camera of Ada"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (52.0, 31.0, 0.0)
    content = file_of(photograph, exif=exif, comment=b"made by Ada")
    assert b"Ada" in content
    for suffix, kept in picture_read(content).items():
        picture = opened(kept)
        assert picture.size[0] < picture.size[1], suffix
        assert not picture.getexif()
        assert b"Ada" not in kept
    top = picture.convert("RGB").getpixel((picture.width // 2, 10))
    assert isinstance(top, tuple)
    assert top[2] > 200 > 60 > top[0]  # the left side is at the top now


def test_transparent_parts_become_white() -> None:
    files = picture_read(file_of(Image.new("RGBA", (300, 300), (0, 0, 0, 0)), "PNG"))
    assert opened(files[".jpg"]).getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_large_picture_of_any_mode_is_kept(mode: str) -> None:
    picture = Image.new(mode, (2500, 2400))
    assert pictures._coarser(picture).size == ((2500, 2400) if mode == "I;16" else (1250, 1200))
    assert opened(picture_read(file_of(picture, "PNG"))[".jpg"]).size == (1200, 1152)


def test_a_transparent_colour_of_a_large_picture_becomes_white() -> None:
    for mode, colour in (("RGB", (0, 255, 0)), ("P", 0)):
        picture = Image.new(mode, (2400, 2400), colour)
        content = file_of(picture, "PNG", transparency=colour)
        assert opened(picture_read(content)[".jpg"]).getpixel((5, 5)) == (255, 255, 255), mode


def test_the_same_picture_has_the_same_name_and_another_one_another() -> None:
    red, blue = (picture_read(file_of(Image.new("RGB", (400, 300), colour))) for colour in ("red", "blue"))
    assert name_of(red) == name_of(dict(red)) != name_of(blue)
    assert name_of(red).endswith("-400x300")


def png_header(width: int, height: int) -> bytes:
    """Return a PNG file that only has a header with this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (b"GIF89a" + bytes(100), "not a picture"),
        (b"%PDF-1.7\n", "not a picture"),
        (file_of(Image.new("RGB", (300, 300)), "BMP"), "not a picture"),
        (file_of(Image.new("RGB", (300, 300)), "PNG")[:200], "damaged"),
        (b"\xff\xd8\xff\xe0" + bytes(60), "not a picture"),
        (png_header(8000, 8000), "50 million pixels"),
        (png_header(30_000, 30_000), "50 million pixels"),
        (png_header(2**31 - 1, 2**31 - 1), "50 million pixels"),
        (file_of(Image.new("RGB", (199, 400))), "too small"),
        (file_of(Image.new("RGB", (200, 900))), "too narrow"),
        (bytes(pictures.LARGEST_FILE + 1), "larger than 10 MB"),
    ],
)
def test_a_file_that_is_no_picture_of_a_usual_size_is_refused_with_a_sentence(
    content: bytes, sentence: str
) -> None:
    with pytest.raises(PictureRefused, match=sentence):
        picture_read(content)


@pytest.mark.slow
def test_a_file_with_changed_bytes_is_accepted_or_refused() -> None:
    good = bytearray(file_of(Image.effect_noise((300, 240), 60).convert("RGB"), "WEBP"))
    for place in range(0, len(good), max(1, len(good) // 60)):
        bad = bytearray(good)
        bad[place] ^= 0xFF
        try:
            assert picture_read(bytes(bad))
        except PictureRefused:
            continue
