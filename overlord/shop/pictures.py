"""The pictures that organisers upload: check, turn and shrink them, and keep them as files that Caddy serves.

Runs in the threads of a web process, one picture at a time, because a large picture needs up to 400 MB while it is
read. This module does not know which rows refer to a picture.

What must stay true: only the visible picture is kept. It is drawn again, without the place and the camera in the
metadata of a photograph. The name of a picture is made of its content and size. So its files never change, and
browsers may keep them for ever.
"""

import contextlib
import hashlib
import io
import logging
import re
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from django.conf import settings
from django.utils.translation import gettext as _
from PIL import Image, ImageCms, ImageOps

from overlord.kernel.errors import Invalid

LARGEST_FILE = 10_000_000  # bytes
MOST_PIXELS = 50_000_000  # width times height; the cameras of the newest phones have 48 million
LARGE, SMALL = 1200, 480  # the largest widths of the two sizes, in pixels
FORMATS = ("JPEG", "PNG", "WEBP")
NAME = r"[0-9a-f]{32}-\d{1,4}x\d{1,4}"
SUFFIXES = (".webp", ".jpg", "-small.webp", "-small.jpg")
FILE = re.compile(rf"({NAME})(?:-small)?\.(?:webp|jpg)(?:\.[0-9]+)?")

logger = logging.getLogger(__name__)

_one_at_a_time = Lock()


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The allowed shape of a picture.

    `smallest` is the fewest pixels of a side; `narrowest` is the largest ratio of the longer side to the shorter.
    """

    smallest: int
    narrowest: int


PHOTOGRAPH = Shape(smallest=200, narrowest=4)
LOGO = Shape(smallest=48, narrowest=10)


class PictureRefused(Invalid):
    """An uploaded file is not accepted as a picture; the sentence says why."""

    code = "invalid"


def picture_read(content: bytes, *, shape: Shape = PHOTOGRAPH) -> dict[str, bytes]:
    """Check an uploaded file, and return the contents of the files that the shop keeps of it; raise PictureRefused.

    The keys are SUFFIXES: two widths, each as WebP, and as JPEG for browsers without WebP.
    """
    if len(content) > LARGEST_FILE:
        raise PictureRefused(_("This file is larger than 10 MB. Choose a smaller one."))
    with _one_at_a_time:
        picture = _drawn(content, shape)
        small = _narrowed(picture, SMALL)
        drawn = (picture, picture, small, small)
        return {suffix: _written(each, suffix) for suffix, each in zip(SUFFIXES, drawn, strict=True)}


def name_of(files: dict[str, bytes]) -> str:
    """Return the name of the picture with these files: a hash of the contents, and the size of the larger ones."""
    digest = hashlib.sha256(b"".join(files[suffix] for suffix in SUFFIXES)).hexdigest()[:32]
    with Image.open(io.BytesIO(files[".jpg"]), formats=["JPEG"]) as picture:
        return f"{digest}-{picture.width}x{picture.height}"


def picture_keep(name: str, files: dict[str, bytes]) -> None:
    """Write the files of a picture. A file gets its name only when all are complete.

    Raise PictureRefused if they cannot be written, for example because the disk is full; then none is left.
    """
    folder = Path(settings.MEDIA_ROOT)
    unfinished = {suffix: folder / f".{name}{suffix}.{time.monotonic_ns()}" for suffix in files}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, file in unfinished.items():
            file.write_bytes(files[suffix])
        for suffix, file in unfinished.items():
            file.replace(folder / f"{name}{suffix}")
    except OSError as error:
        with contextlib.suppress(OSError):
            for file in unfinished.values():
                file.unlink(missing_ok=True)
        logger.warning("A picture cannot be written into %s: %s", folder, error.strerror)
        sentence = _(
            "The shop cannot store the picture now. Tell the operator of the server: the log says why."
        )
        raise PictureRefused(sentence) from error


def picture_delete(name: str) -> None:
    """Delete the files of a picture. Call this only if no row refers to the picture."""
    for suffix in SUFFIXES:
        (Path(settings.MEDIA_ROOT) / f"{name}{suffix}").unlink(missing_ok=True)


def names_kept(*, older_than: float) -> Iterator[str]:
    """Yield the names of the pictures that have a file which was written more than `older_than` seconds ago."""
    yielded = ""
    for file in _older("[!.]*", older_than):
        found = FILE.fullmatch(file.name)
        if found and found[1] != yielded:
            yielded = found[1]
            yield yielded


def unfinished_delete(*, older_than: float) -> None:
    """Delete the files that a process which was killed has left without their names."""
    for file in _older(".*", older_than):
        if FILE.fullmatch(file.name.removeprefix(".")):
            file.unlink(missing_ok=True)


def _older(pattern: str, seconds: float) -> Iterator[Path]:
    """Yield the files of this pattern, by name, that were written more than this number of seconds ago."""
    until = time.time() - seconds
    for file in sorted(Path(settings.MEDIA_ROOT).glob(pattern)):
        with contextlib.suppress(FileNotFoundError):  # it was deleted since the folder was read
            if file.stat().st_mtime < until:
                yield file


def address(name: str) -> str | None:
    """Return the address (URL path) of a picture; None if `name` is empty."""
    return f"{settings.MEDIA_URL}{name}.jpg" if name else None


def shown(jpg: str | None) -> dict[str, str | int] | None:
    """Return what a page needs to show the picture with the address `jpg`: addresses and sizes. None for None."""
    if jpg is None:
        return None
    stem = jpg.removesuffix(".jpg")
    width, height = (int(pixels) for pixels in stem.rpartition("-")[2].split("x"))
    files = {
        "jpg": jpg,
        "webp": f"{stem}.webp",
        "small_jpg": f"{stem}-small.jpg",
        "small_webp": f"{stem}-small.webp",
    }
    return {**files, "width": width, "height": height, "small_width": min(width, SMALL)}


def _drawn(content: bytes, shape: Shape) -> Image.Image:
    """Return the picture in a file, upright, in sRGB colours, at most LARGE wide; raise PictureRefused."""
    too_many = PictureRefused(_("This picture has more than 50 million pixels. Choose a smaller one."))
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise too_many
            if min(opened.size) < shape.smallest:
                sentence = _("This picture is too small. Each side must have %(n)s pixels or more.")
                raise PictureRefused(sentence % {"n": shape.smallest})
            if max(opened.size) > shape.narrowest * min(opened.size):
                sentence = _(
                    "This picture is too narrow. One side is more than %(n)s times as long as the other."
                )
                raise PictureRefused(sentence % {"n": shape.narrowest})
            opened.draft("RGB", (2 * LARGE, 2 * LARGE))
            return _narrowed(_flat(ImageOps.exif_transpose(_coarser(opened))), LARGE)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise too_many from None
    except Image.UnidentifiedImageError:
        raise PictureRefused(_("This file is not a picture. Choose a JPEG, PNG or WebP file.")) from None
    except (OSError, SyntaxError, ValueError, IndexError, EOFError, struct.error):
        raise PictureRefused(_("This picture is damaged. Choose another file.")) from None


def _coarser(picture: Image.Image) -> Image.Image:
    """Return a large picture with fewer pixels, but still LARGE or more on each side; any other one unchanged.

    The next steps make several copies. At full size they would need a gigabyte for the largest picture.
    """
    factor = min(picture.size) // LARGE
    if factor < 2 or ";" in picture.mode:  # Pillow cannot do this with 16 bits
        return picture
    if picture.has_transparency_data and picture.mode not in ("RGBA", "LA"):
        picture = picture.convert("RGBA")
    elif picture.mode in ("1", "P"):
        picture = picture.convert("RGB")
    return picture.reduce(factor)


def _flat(picture: Image.Image) -> Image.Image:
    """Return a picture in sRGB colours, which every screen shows rightly, with white for transparent parts."""
    profile = picture.info.get("icc_profile")
    if profile and picture.mode == "RGB":
        with contextlib.suppress(ImageCms.PyCMSError, OSError):  # the profile is damaged
            own, usual = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            picture = ImageCms.profileToProfile(picture, own, usual) or picture
    if picture.has_transparency_data:
        over = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")
    return picture.convert("RGB")


def _narrowed(picture: Image.Image, width: int) -> Image.Image:
    """Return a picture that is at most `width` pixels wide."""
    if picture.width <= width:
        return picture
    height = max(1, round(picture.height * width / picture.width))
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def _written(picture: Image.Image, suffix: str) -> bytes:
    """Return the content of a file with this picture and no metadata: WebP or JPEG, by the suffix of its name."""
    output = io.BytesIO()
    bare = Image.new("RGB", picture.size)  # without the metadata of the file
    bare.paste(picture)
    if suffix.endswith(".webp"):
        bare.save(output, "WEBP", quality=78, method=4)
    else:
        bare.save(output, "JPEG", quality=80, optimize=True, progressive=True)
    return output.getvalue()
