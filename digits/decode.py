"""Decode the bytes of a picture, and let no file cost more than an honest one of its size.

    bytes -> identify -> image, its header read -> decode -> image, upright and loaded

Formats promise little: a small header may be followed by tiles, scans or frames that take hours
and gigabytes, and Pillow looks at each chunk and marker, however small, in Python. Each of these
is counted before anything is decoded. What is in the picture is no matter of this module.
"""

from __future__ import annotations

import ctypes
import io
import struct
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image, ImageOps

from digits.errors import BadImage

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF")  # a phone's MPO opens as JPEG
MAX_PIXELS = 50_000_000  # width times height; a 48-megapixel phone photo has 48.8 million
MAX_FRAMES = 64  # an animation beyond this is no picture of a digit
MAX_SCANS = 100  # of a JPEG; an ordinary one has about ten
MAX_SCANNED = 20 * MAX_PIXELS  # by all scans, each of which may walk through all pixels, some 1.5 billion a second
MAX_IDLE = 200  # chunks of a PNG without pixels, each of which may unpack to a MiB in 2.5 ms; most have about ten
MAX_BUSY = 20_000  # chunks with pixels, of 8 KiB if libpng wrote them; each takes about 3 µs, 10 MiB of it 1,280
MAX_SEGMENTS = 500  # ahead of the first scan of a JPEG, where full ones hold 32 MiB; Pillow copies Exif for each
MAX_STRAY = 1 << 16  # bytes between those; each takes about 0.4 µs, and decoders skip them, so some writers pad
SMALL_TILES = 1 << 20  # pixels that the tiles of a TIFF may have, however small the picture is
DRAFT = 1024  # a larger JPEG is decoded at a half, a quarter or an eighth, while both sides stay above this

TIFF_SUBFILE_TYPE, TIFF_WIDTH, TIFF_COMPRESSION = 254, 256, 259  # tags; TIFF 6.0, section 8
TIFF_TILE_WIDTH, TIFF_TILE_HEIGHT = 322, 323  # section 15
SMALLER, MASK = 1, 4  # bits of TIFF_SUBFILE_TYPE: no page, but what belongs to one
TIFF_JPEG = (6, 7)  # values of TIFF_COMPRESSION
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHUNK = struct.Struct(">I4s")  # how long it is, and its name; four bytes of checksum come after what it holds
BUSY = (b"IDAT", b"fdAT")  # chunks with pixels
ON_ITS_SIDE = range(5, 9)  # values of Exif's Orientation with which rows are columns (CIPA DC-008, 4.6.4)
JPEG_SIGNATURE = b"\xff\xd8\xff"
START_OF_SCAN = b"\xff\xda"  # in a JPEG; its compressed data never holds these two bytes
BARE = {0x00, 0xC8, *range(0xD0, 0xDA), *range(0xF0, 0xFE)}  # markers without a length, as Pillow reads them


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture, upright and loaded. `size` is what its file declares; of a large JPEG the image is smaller."""

    image: Image.Image
    size: tuple[int, int]

    @property
    def by(self) -> float:
        """Pixels of the size for each of the image, along both sides."""
        return max(self.size) / max(self.image.size)


def identify(data: bytes) -> Image.Image:
    """Return a picture that knows its format and size, with nothing decoded yet.

    Takes PNG, JPEG, WebP, BMP, GIF and TIFF. Raises `BadImage`.
    """
    if not data:
        raise BadImage("empty", "the image is empty (0 bytes)")
    check_pieces(data)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as exc:
        raise BadImage("too_large", f"the image has more than {MAX_PIXELS:,} pixels") from exc
    except MemoryError:  # which says nothing of the picture
        raise
    except Exception as exc:  # Pillow's parsers raise whatever a hostile header leads them to
        raise BadImage("not_an_image", "this is not a PNG, JPEG, WebP, BMP, GIF or TIFF image") from exc
    check_size(image)
    try:
        check_tiles(image)
        check_scans(image, data)
        check_frames(image, data)
    except (BadImage, MemoryError):
        raise
    except Exception as exc:  # as above: a directory that points nowhere, say
        raise BadImage("broken", f"the {image.format} image is damaged or cut short") from exc
    return image


def decode(image: Image.Image) -> Decoded:
    """Decode the first frame of what was identified, and turn it upright. Raises `BadImage`."""
    width, height = image.size
    try:
        image.draft(None, (DRAFT, DRAFT))
        image.load()
        turned = image.getexif().get(ExifTags.Base.Orientation) in ON_ITS_SIDE
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception as exc:  # as above; a truncated file ends here
        raise BadImage("broken", f"the {image.format} image is damaged or cut short") from exc
    return Decoded(image, (height, width) if turned else (width, height))


def silence() -> None:
    """Have Pillow and libtiff write nothing about pictures on stderr, which a few bytes could have them do for hours.

    What is wrong with a picture is raised all the same.
    """
    warnings.filterwarnings("ignore", module="PIL")
    for path in Path(Image.__file__).parent.parent.glob("pillow.libs/libtiff*"):  # as wheels have it
        library = ctypes.CDLL(str(path))  # the one that is loaded already
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)


def check_pieces(data: bytes) -> None:
    """Refuse a PNG or JPEG of so many pieces that it takes seconds to go through them."""
    if data.startswith(PNG_SIGNATURE) and has_many_chunks(data):
        raise BadImage("too_large", f"the PNG is cut into more than {MAX_IDLE} chunks, or {MAX_BUSY:,} with pixels")
    if data.startswith(JPEG_SIGNATURE) and has_many_segments(data):
        raise BadImage("too_large", f"the JPEG has more than {MAX_SEGMENTS} segments ahead of its pixels, or padding")


def has_many_chunks(data: bytes) -> bool:
    """Count the chunks of a PNG by their lengths alone (PNG, third edition, 5.3)."""
    at, idle, busy = len(PNG_SIGNATURE), 0, 0
    while at + CHUNK.size <= len(data) and idle <= MAX_IDLE and busy <= MAX_BUSY:
        length, name = CHUNK.unpack_from(data, at)
        if name == b"IEND":
            break
        if name in BUSY:
            busy += 1
        else:
            idle += 1
        at += CHUNK.size + length + 4
    return idle > MAX_IDLE or busy > MAX_BUSY


def has_many_segments(data: bytes) -> bool:
    """Count the segments of a JPEG up to its first scan, and the bytes in between (ITU-T T.81, B.1.1)."""
    at, segments, stray = 2, 0, 0
    while segments <= MAX_SEGMENTS and stray <= MAX_STRAY:
        start = data.find(b"\xff", at)
        if start < 0 or start + 4 > len(data) or data.startswith(START_OF_SCAN, start):
            break
        stray += start - at
        match data[start + 1]:
            case 0xFF:  # padding; the next one may be a marker
                stray, at = stray + 1, start + 1
            case marker if marker in BARE:
                stray, at = stray + 2, start + 2
            case _:
                segments += 1
                at = start + 2 + max(int.from_bytes(data[start + 2 : start + 4]), 2)
    return segments > MAX_SEGMENTS or stray > MAX_STRAY


def check_size(image: Image.Image) -> None:
    if image.width < 1 or image.height < 1:
        raise BadImage("broken", "the image has no pixels")
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width} x {image.height}"
        raise BadImage("too_large", f"the image is {size}; more than {MAX_PIXELS:,} pixels are not read")


def check_tiles(image: Image.Image) -> None:
    """Refuse tiles that hold far more than the picture; whole tiles are unpacked, whatever it shows of them."""
    tags = getattr(image, "tag_v2", {})
    width, height = int(tags.get(TIFF_TILE_WIDTH, 0)), int(tags.get(TIFF_TILE_HEIGHT, 0))
    if width < 1 or height < 1:
        return
    tiled = -(-image.width // width) * width * (-(-image.height // height) * height)
    if tiled > max(2 * image.width * image.height, SMALL_TILES):
        raise BadImage("too_large", f"the image is made of tiles of {width} x {height}, far larger than itself")


def check_scans(image: Image.Image, data: bytes) -> None:
    """Refuse a progressive JPEG, alone or in a TIFF, that goes over its pixels again and again."""
    tags = getattr(image, "tag_v2", {})
    is_jpeg = image.format in ("JPEG", "MPO") or tags.get(TIFF_COMPRESSION) in TIFF_JPEG
    if not is_jpeg:
        return
    scans = data.count(START_OF_SCAN)
    if scans > MAX_SCANS or scans * image.width * image.height > MAX_SCANNED:
        size = f"{image.width} x {image.height}"
        raise BadImage(
            "too_large", f"the JPEG goes {scans:,} times over its {size} pixels; a photo does about 10 times"
        )


def check_frames(image: Image.Image, data: bytes) -> None:
    """Refuse an animation of more than `MAX_FRAMES`, and several pages; of any other, the first frame counts.

    No further frame is decoded to find out. An MPO is no animation: its other pictures are depth
    or gain maps.
    """
    if image.format == "MPO" or not getattr(image, "is_animated", False):
        return
    match image.format:
        case "GIF":
            frames = count_gif_frames(data)
        case "TIFF":
            frames = count_tiff_directories(image)
        case _:  # PNG and WebP say so in their header
            frames = getattr(image, "n_frames", 1)
    if frames > MAX_FRAMES:
        raise BadImage("animated", f"the image has more than {MAX_FRAMES} frames; send one picture")


def count_gif_frames(data: bytes) -> int:
    """Count image blocks up to one more than allowed, by their lengths alone (GIF89a, appendix B)."""

    def colours(flags: int) -> int:
        return 3 << ((flags & 7) + 1) if flags & 0x80 else 0

    at, frames = 13 + colours(data[10]), 0
    while at < len(data) and frames <= MAX_FRAMES:
        match data[at]:
            case 0x2C:  # an image: its descriptor, perhaps colours of its own, a code size
                frames += 1
                at += 11 + colours(data[at + 9])
            case 0x21:  # an extension and its label
                at += 2
            case _:
                break
        while at < len(data) and data[at]:  # blocks of up to 255 bytes; an empty one ends them
            at += 1 + data[at]
        at += 1
    return frames


def count_tiff_directories(image: Image.Image) -> int:
    """Return how many there are, or one more than allowed, and decode none; refuse several pages.

    Nobody would notice that only one of them was read.
    """
    try:
        pages = [is_page(tags) for tags in islice(further_directories(image), MAX_FRAMES)]
    finally:
        image.seek(0)
    if any(pages):
        raise BadImage("animated", "the TIFF has several pages; send each as an image of its own")
    return 1 + len(pages)


def further_directories(image: Image.Image) -> Iterator[Mapping[int, Any]]:
    """Yield the tags of what follows the first picture of a TIFF."""
    for at in count(1):
        try:
            with suppress(
                KeyError, OSError, SyntaxError, TypeError, ValueError
            ):  # it cannot be shown, but has its tags
                image.seek(at)
        except EOFError:
            return
        yield getattr(image, "tag_v2", {})


def is_page(tags: Mapping[int, Any]) -> bool:
    """Tell a page from a thumbnail or mask of one, and from what is no directory at all."""
    kind = tags.get(TIFF_SUBFILE_TYPE, 0)
    return TIFF_WIDTH in tags and not (isinstance(kind, int) and kind & (SMALLER | MASK))
