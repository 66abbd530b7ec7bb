"""Bytes of a picture become the 28x28 pixels of MNIST's geometry, or a `BadImage` that says why."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from digits import decode, image, plain
from digits.decode import MAX_PIXELS
from digits.errors import BadImage
from digits.grey import uncoloured
from digits.image import Pixels
from tests import hostile
from tests.hostile import encoded
from tests.images import MNIST, falling_light, mnist, png


def drawn(
    side: int = 200, ink: int = 0, paper: int = 255, scale: float = 1.0, shift: tuple[int, int] = (0, 0)
) -> Image.Image:
    """Return a thick, lopsided seven, none of whose turns and mirrors is another."""
    picture = Image.new("L", (side, side), paper)
    points = [(60, 50), (140, 50), (90, 155)]
    middle = side / 2
    moved = [tuple(middle + (v - 100) * scale + s for v, s in zip(p, shift, strict=True)) for p in points]
    ImageDraw.Draw(picture).line(moved, fill=ink, width=round(16 * scale), joint="curve")
    return picture


def distance(a: Pixels, b: Pixels) -> float:
    """Return the mean difference of two results, in shares of the ink of the first.

    The centre of mass goes to whole pixels, so a hair's breadth may move everything by one.
    """
    moved = (np.roll(b, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1))
    return min(float(np.abs(a.astype(int) - c).sum() / a.sum(dtype=int)) for c in moved)


@pytest.fixture(scope="module")
def seven() -> Pixels:
    return image.look(drawn()).pixels


def test_seven_is_no_trivial_picture(seven: Pixels) -> None:
    turned = [np.rot90(m, k) for m in (seven, seven.T) for k in range(4)][1:]
    assert min(distance(seven, other) for other in turned) > 0.5


# --- formats and modes --------------------------------------------------------------------------


@pytest.mark.parametrize("ends", [(235, 190), (240, 225), (120, 220)])
def test_blank_paper_is_blank_in_light_from_one_side(ends: tuple[int, int]) -> None:
    shade = np.linspace(*ends, 500)[np.newaxis].repeat(350, 0).astype(np.uint8)
    for paper in (shade, shade.T):
        assert image.look(Image.fromarray(np.ascontiguousarray(paper))).box is None


def grainy(brightness: NDArray[np.floating], noise: float, seed: int) -> bytes:
    """Return a photo in which the brightness, (h, w), has normal noise of a standard deviation."""
    values = brightness + np.random.default_rng(seed).normal(0, noise, brightness.shape)
    return encoded(Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)), "JPEG", quality=85)


def test_grain_is_seldom_taken_for_ink() -> None:
    papers = [np.broadcast_to(np.linspace(235, end, 500), (350, 500)) for end in (235, 215, 190)]
    pictures = [grainy(paper, noise, seed) for paper in papers for noise in (1, 2, 4, 8, 12) for seed in range(4)]
    found = [image.see(decode.identify(picture)).box for picture in pictures]
    assert sum(box is not None for box in found) <= 4


def test_faint_writing_is_found_among_grain() -> None:
    digits, _ = mnist(20)
    for seed, digit in enumerate(digits):
        paper = np.broadcast_to(np.linspace(235, 190, 500), (350, 500)).copy()
        paper[100:240, 180:320] -= 15 * np.asarray(Image.fromarray(digit).resize((140, 140)), float) / 255
        box = image.see(decode.identify(grainy(paper, 2, seed))).box
        assert box is not None
        assert 180 <= box[0] + box[2] / 2 <= 320


@pytest.mark.parametrize("noise", [0, 1, 4])
def test_light_that_falls_off_is_no_ink(noise: float) -> None:
    for seed, size in enumerate([(350, 500), (300, 300), (60, 120)]):
        assert image.see(decode.identify(grainy(falling_light(*size), noise, seed))).box is None


@pytest.mark.parametrize("contrast", [15, 30, 60])
def test_faint_writing_is_found_where_light_falls_off(contrast: float) -> None:
    for seed, digit in enumerate(mnist(20)[0]):
        paper = falling_light(300, 400)
        paper[80:220, 130:270] -= contrast * np.asarray(Image.fromarray(digit).resize((140, 140)), float) / 255
        box = image.see(decode.identify(grainy(paper, contrast / 10, seed))).box
        assert box is not None
        assert 130 <= box[0] <= box[0] + box[2] <= 272
        assert box[3] >= 90


@pytest.mark.parametrize(("contrast", "noise"), [(120, 60), (30, 10), (15, 5)])
def test_a_digit_is_found_though_grain_is_half_as_strong(contrast: float, noise: float) -> None:
    there = 0
    for seed, digit in enumerate(mnist(20)[0]):
        paper = np.full((300, 400), 200.0)
        paper[80:220, 130:270] -= contrast * np.asarray(Image.fromarray(digit).resize((140, 140)), float) / 255
        there += distance(image.see(decode.identify(grainy(paper, noise, seed))).pixels, digit) < 0.4
    assert there >= 18


@pytest.mark.parametrize(("side", "margin"), [(48, 2), (60, 2), (60, 4)])
def test_faint_writing_is_found_though_it_leaves_little_paper(side: int, margin: int) -> None:
    for digit in mnist(20)[0]:
        strokes = Image.fromarray(digit).crop(Image.fromarray(digit).getbbox())
        size = [max(1, side * length // max(strokes.size)) for length in strokes.size]
        ink = np.pad(np.asarray(strokes.resize(size), float), margin) / 255
        assert image.look(Image.fromarray((255 - 23 * ink).astype(np.uint8))).box is not None


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "MPO"])
def test_every_format_is_read(kind: str, seven: Pixels) -> None:
    assert distance(seven, image.read(encoded(drawn(), kind))) < 0.02


@pytest.mark.parametrize("compression", ["raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "group4"])
def test_every_compression_of_tiff_is_read(compression: str, seven: Pixels) -> None:
    picture = drawn().convert("1") if compression == "group4" else drawn()
    assert distance(seven, image.read(encoded(picture, "TIFF", compression=compression))) < 0.03


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F", "CMYK", "LAB", "YCbCr"])
def test_every_mode_is_read(kind: str, mode: str, seven: Pixels) -> None:
    if kind == "PNG" and mode in {"I", "F", "CMYK", "LAB", "YCbCr"}:
        kind = "TIFF"  # PNG has no such modes
    assert distance(seven, image.read(encoded(in_mode(mode), kind))) < 0.02


@pytest.mark.parametrize(
    "mode",
    ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "I;16", "I;16B", "I", "F", "CMYK", "LAB", "YCbCr", "HSV"],
)
@pytest.mark.parametrize("side", [200, 3000])
def test_every_mode_is_read_at_every_size(mode: str, side: int, seven: Pixels) -> None:
    assert distance(seven, image.look(in_mode(mode, drawn(side, scale=side / 200))).pixels) < 0.2


def in_mode(mode: str, picture: Image.Image | None = None) -> Image.Image:
    picture = picture or drawn()
    match mode:
        case "I;16" | "I;16B":
            values = np.asarray(picture).astype(np.uint16) * 257
            return (
                Image.fromarray(values).convert(mode)
                if mode == "I;16"
                else Image.frombytes(mode, picture.size, values.astype(">u2").tobytes())
            )
        case "I":
            return Image.fromarray(np.asarray(picture).astype(np.int32) * 1000 - 70_000)
        case "F":
            return Image.fromarray(np.asarray(picture).astype(np.float32) / 255)
        case "LAB":
            return Image.merge("LAB", (picture, Image.new("L", picture.size, 128), Image.new("L", picture.size, 128)))
        case "HSV":
            return picture.convert("RGB").convert("HSV")
        case "PA":
            return picture.convert("LA").convert("PA")
        case "RGBa":
            return picture.convert("RGBA").convert("RGBa")
        case _:
            return picture.convert(mode)


@pytest.mark.parametrize("ink", [0, 255])
def test_ink_on_nothing_is_read_whatever_its_colour(ink: int, seven: Pixels) -> None:
    alpha = drawn(ink=255, paper=0)
    grey = Image.new("L", alpha.size, ink)
    for picture in (Image.merge("LA", (grey, alpha)), Image.merge("RGBA", (grey, grey, grey, alpha))):
        assert distance(seven, image.read(encoded(picture, "PNG"))) < 0.02


def test_a_palette_with_a_transparent_colour_is_read(seven: Pixels) -> None:
    picture = drawn().convert("1").convert("P")
    paper = picture.getpixel((0, 0))
    for kind in ("PNG", "GIF"):
        assert distance(seven, image.read(encoded(picture, kind, transparency=paper))) < 0.02


def test_holes_in_a_picture_are_filled_with_its_paper(seven: Pixels) -> None:
    picture = drawn().convert("RGBA")
    picture.paste((255, 0, 0, 0), (0, 0, 30, 200))
    assert distance(seven, image.read(encoded(picture, "PNG"))) < 0.02


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_turned_picture_is_put_upright(kind: str, orientation: int, seven: Pixels) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = drawn().crop((0, 20, 200, 190))
    stored = stored.transpose(undo[orientation]) if orientation in undo else stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert distance(seven, image.read(encoded(stored, kind, exif=exif))) < 0.02


@pytest.mark.parametrize(
    ("orientation", "size"),
    [(1, (2050, 2049)), (3, (2050, 2049)), (6, (2049, 2050)), (9, (2050, 2049))],
)
def test_sides_are_those_of_the_upright_picture_even_if_it_is_decoded_smaller(
    orientation: int, size: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode.decode(decode.identify(encoded(Image.new("L", (2050, 2049)), "JPEG", exif=exif)))
    assert (decoded.size, decoded.image.size) == (size, (1025, 1025))


def test_the_first_frame_of_an_animation_counts(seven: Pixels) -> None:
    frames = [drawn(), drawn().rotate(90), drawn().rotate(180)]
    for kind in ("GIF", "PNG", "WEBP", "MPO"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert distance(seven, image.read(data)) < 0.03, kind


@pytest.mark.parametrize("kind", [decode.SMALLER, decode.MASK])
def test_of_several_pages_none_is_lost_but_a_thumbnail_or_mask_is_no_page(kind: int, seven: Pixels) -> None:
    page, second = drawn(), drawn().resize((40, 40))
    second.encoderinfo = {"tiffinfo": {decode.TIFF_SUBFILE_TYPE: kind}}
    assert distance(seven, image.read(encoded(page, "TIFF", save_all=True, append_images=[second]))) < 0.03
    for pages in ((page, drawn()), (second, page)):  # a thumbnail ahead of its page would be read instead of it
        with pytest.raises(BadImage, match="several pages") as refusal:
            image.read(encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
        assert refusal.value.code == "animated"


def test_a_directory_of_a_tiff_that_cannot_be_shown_is_no_page_if_it_says_so() -> None:
    """Masks have an interpretation of their own, which Pillow does not know (TIFF 6.0, section 8)."""
    first = hostile.tiff(28, 28)
    mask = hostile.tiff(28, 28, photometric=4, kind=decode.MASK)[8:]  # its one strip is where the first has its own
    both = hostile.tiff(28, 28, following=len(first)) + mask
    assert result_of(both) == "black"
    unknown = hostile.tiff(28, 28, following=len(first)) + hostile.tiff(28, 28, photometric=4)[8:]
    assert result_of(unknown) == "animated"


# --- geometry -----------------------------------------------------------------------------------


def test_mnist_passes_bit_for_bit() -> None:
    with np.load(MNIST) as archive:
        images = archive["x_test"]
    assert len(images) == 10_000
    changed = [n for n, pixels in enumerate(images) if not np.array_equal(image.read(png(pixels)), pixels)]
    assert changed == []


def block(side: int = 20, right: int = 0, brightest: int = 255, paper: int = 0) -> Pixels:
    """Return a square of ink with its centre of mass at index 13.5 or 14, and moved to the right."""
    pixels = np.full((28, 28), paper, np.uint8)
    first = 14 - side // 2
    pixels[first : first + side, first + right : first + right + side] = brightest
    return pixels


@pytest.mark.parametrize("pixels", [block(), block(right=1), block(19), block(brightest=254)])
def test_what_has_the_geometry_of_mnist_stays_as_it_is(pixels: Pixels) -> None:
    sight = image.look(Image.fromarray(pixels))
    assert sight.unchanged
    assert np.array_equal(sight.pixels, pixels)


@pytest.mark.parametrize(
    "pixels", [block(18), block(21), block(right=2), block(brightest=253), block(paper=1), 255 - block()]
)
def test_what_is_off_by_a_little_does_not(pixels: Pixels) -> None:
    assert not image.look(Image.fromarray(pixels)).unchanged
    short = image.see_plain(image.as_png(pixels))
    assert short is not None
    assert not short.unchanged


def test_grain_of_less_than_a_level_is_no_ink() -> None:
    deep = block().astype(np.uint16) * 257
    assert image.look(Image.fromarray(np.maximum(deep, 200))).unchanged
    assert not image.look(Image.fromarray(np.maximum(deep, 257))).unchanged


def test_mnist_that_is_inverted_and_enlarged_comes_back_nearly() -> None:
    with np.load(MNIST) as archive:
        images = archive["x_test"][:100]
    distances = [distance(pixels, image.look(enlarged(255 - pixels)).pixels) for pixels in images]
    assert np.median(distances) < 0.2
    assert np.quantile(distances, 0.9) < 0.6


def enlarged(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels).resize((280, 280), Image.Resampling.BICUBIC)


def test_dark_on_light_equals_bright_on_dark(seven: Pixels) -> None:
    assert distance(seven, image.look(drawn(ink=255, paper=0)).pixels) < 0.01
    assert distance(seven, image.look(drawn(ink=60, paper=180)).pixels) < 0.01


@pytest.mark.parametrize("scale", [0.3, 0.5, 2.0, 5.0, 14.0])
def test_size_does_not_matter(scale: float, seven: Pixels) -> None:
    assert distance(seven, image.look(drawn(round(200 * max(1, scale)), scale=scale)).pixels) < 0.2


@pytest.mark.parametrize("shift", [(-30, -20), (30, 20), (40, -30), (1, 0)])
def test_place_does_not_matter(shift: tuple[int, int], seven: Pixels) -> None:
    assert distance(seven, image.look(drawn(shift=shift)).pixels) < 0.1


@pytest.mark.parametrize("size", [(100, 400), (400, 100), (28, 28), (3000, 500)])
def test_the_longest_side_is_20_and_the_centre_of_mass_at_14(size: tuple[int, int]) -> None:
    picture = Image.new("L", size, 230)
    w, h = size
    ImageDraw.Draw(picture).polygon([(w * 0.2, h * 0.2), (w * 0.8, h * 0.3), (w * 0.3, h * 0.8)], fill=20)
    pixels = image.look(picture).pixels
    rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    assert pixels.max() == 255
    for axis in (0, 1):
        weights = pixels.sum(1 - axis, dtype=float)
        assert abs(weights @ np.arange(28) / weights.sum() - 14) <= 0.51


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "P", "I;16", "I", "F"])
@pytest.mark.parametrize("size", [(1, 1), (28, 28), (1, 5000), (300, 200)])
def test_a_blank_picture_has_no_ink(mode: str, size: tuple[int, int]) -> None:
    assert not image.look(Image.new(mode, size)).pixels.any()


def test_one_colour_behind_a_soft_veil_has_no_ink() -> None:
    alpha = Image.linear_gradient("L")
    grey = Image.new("L", alpha.size, 201)
    assert not image.look(Image.merge("LA", (grey, alpha.point(lambda a: 128 + a // 2)))).pixels.any()


@pytest.mark.parametrize("full", [255, 2**31 - 1])
def test_whole_numbers_of_32_bits_may_be_large(full: int) -> None:
    """Where a picture is averaged down, their sums are larger still."""
    digit = np.kron(mnist(1)[0][0], np.ones((8, 8), np.int64))
    seen = image.look(Image.fromarray((digit * full // 255).astype(np.int32))).pixels
    assert np.abs(seen.astype(int) - image.look(Image.fromarray(digit.astype(np.uint8))).pixels).max() <= 2


@pytest.mark.parametrize("values", [[np.nan, np.inf], [-3.4e38, 3.4e38], [0.0, 1e-45], [np.nan, np.nan]])
def test_odd_floats_give_pixels(values: list[float]) -> None:
    array = np.resize(np.array(values, np.float32), (40, 41))
    pixels = image.look(Image.fromarray(array)).pixels
    assert (pixels.shape, str(pixels.dtype)) == ((28, 28), "uint8")


# --- what is no picture -------------------------------------------------------------------------


PHOTO = encoded(drawn(), "JPEG")

HOSTILE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "nothing": ("empty", lambda: b""),
    "text": ("not_an_image", lambda: b"seven"),
    "SVG": ("not_an_image", lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    "PDF": ("not_an_image", lambda: b"%PDF-1.7\n" + bytes(100)),
    "PostScript, which Pillow would run": ("not_an_image", lambda: encoded(drawn(), "EPS")),
    "a format that is not ours": ("not_an_image", lambda: encoded(drawn(), "TGA")),
    "a signature": ("not_an_image", lambda: b"\x89PNG\r\n\x1a\n"),
    "PNG cut short": ("broken", lambda: encoded(drawn(), "PNG")[:-300]),
    "JPEG cut short": ("broken", lambda: PHOTO[: len(PHOTO) // 2]),
    "WebP cut short": ("not_an_image", lambda: encoded(drawn(), "WEBP")[:-100]),
    "GIF cut short": ("broken", lambda: encoded(drawn(), "GIF")[:-300]),
    "TIFF cut short": ("broken", lambda: hostile.tiff(28, 28)[:-300]),
    "BMP cut short": ("broken", lambda: encoded(drawn(), "BMP")[:-300]),
    "PNG with a wrong checksum": ("broken", lambda: damaged(encoded(drawn(), "PNG"), 60)),
    "PNG of 100,000 x 100,000": ("too_large", lambda: hostile.png(100_000, 100_000)),
    "PNG of 10,000 x 10,000": ("too_large", lambda: hostile.png(10_000, 10_000)),
    "PNG of 50,000,001 x 1": ("too_large", lambda: hostile.png(50_000_001, 1)),
    "GIF of 65,535 x 65,535": ("too_large", lambda: hostile.gif(65_535, 65_535)),
    "TIFF of 100,000 x 100,000": ("too_large", lambda: hostile.tiff(100_000, 100_000)),
    "TIFF of 2,000,000,000 x 2,000,000,000": ("too_large", lambda: hostile.tiff(2_000_000_000, 2_000_000_000)),
    "WebP of 16,384 x 16,384": ("too_large", lambda: hostile.webp(16_384, 16_384)),
    "BMP of 60,000 x 60,000": ("too_large", lambda: hostile.bmp(60_000, 60_000)),
    "PNG whose comment unpacks to 64 MiB": ("not_an_image", lambda: hostile.png_with_text_bomb(64 << 20)),
    "GIF of 1,000 frames": ("animated", lambda: hostile.gif_of(1_000)),
    "JPEG of 1,000 scans": ("too_large", lambda: hostile.jpeg_of_scans(1_000)),
    "JPEG of 50 scans of 25 megapixels": ("too_large", lambda: hostile.jpeg_of_scans(50, 5000)),
    "JPEG of empty segments": ("too_large", lambda: hostile.jpeg_of_segments(b"\xff\xe5\0\2", 1_000)),
    "JPEG of Exif in crumbs": ("too_large", lambda: hostile.jpeg_of_segments(b"\xff\xe1\0\x09Exif\0\0\0", 1_000)),
    "JPEG of padding": ("too_large", lambda: hostile.jpeg_of_segments(b"\xff", 100_000)),
    "JPEG of junk": ("too_large", lambda: hostile.jpeg_of_segments(b"\xff\xe5\0\2" + bytes(100_000), 1)),
    "JPEG of markers": ("too_large", lambda: hostile.jpeg_of_segments(b"\xff\xd0", 100_000)),
    "PNG of empty chunks": ("too_large", lambda: hostile.png_of_chunks(hostile.chunk(b"abCd", b""), 1_000)),
    "PNG of empty pixels": ("too_large", lambda: hostile.png_of_chunks(hostile.chunk(b"IDAT", b""), 30_000)),
    "TIFF of one tile of 30,000 x 30,000": ("too_large", lambda: hostile.tiled_tiff(16, 16, 30_000, 30_000)),
    "TIFF of 64 tall tiles": ("too_large", lambda: hostile.tiled_tiff(1024, 16, 16, 6_250_000)),
    "PNG whose palette is missing": ("broken", lambda: hostile.png(28, 28, bits=8, colour=3)),
    "PNG without width": ("not_an_image", lambda: hostile.png(0, 28)),
    "TIFF without width": ("not_an_image", lambda: hostile.tiff(0, 28)),
    "BMP without width": ("not_an_image", lambda: hostile.bmp(0, 28)),
}


def damaged(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 255]) + data[position + 1 :]


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_picture_gets_its_code(name: str) -> None:
    code, make = HOSTILE[name]
    with pytest.raises(BadImage) as refusal:
        image.read(make())
    assert refusal.value.code == code, str(refusal.value)


@pytest.mark.parametrize(
    ("following", "result"), [(0, "black"), (8, "black"), (4, "broken"), (200, "black"), (0xFFFFFFF0, "broken")]
)
def test_a_tiff_whose_directories_go_round_comes_to_an_end(following: int, result: str) -> None:
    assert result_of(hostile.tiff(28, 28, following)) == result


def test_further_frames_are_never_decoded() -> None:
    """However large they say that they are: the first one is what counts."""
    assert result_of(hostile.gif_with_growing_frame()) in {"black", "ink"}


@pytest.mark.parametrize("tile", [16, 256, 1024])
def test_a_picture_in_honest_tiles_is_read(tile: int) -> None:
    assert result_of(hostile.tiled_tiff(40, 30, tile, tile)) == "black"


def test_a_photo_with_all_that_cameras_write_is_read() -> None:
    """Exif, a profile in several segments, a comment, restart markers, and some padding."""
    exif = Image.Exif()
    exif[0x010E] = "a" * 60_000
    written = encoded(
        drawn(280), "JPEG", exif=exif, icc_profile=bytes(300_000), comment="c" * 60_000, restart_marker_blocks=1
    )
    assert written.count(b"\xff\xd0") > 100
    assert result_of(written[:2] + b"\xff" * 4096 + written[2:]) == "ink"


def test_a_png_with_its_pixels_in_crumbs_and_some_text_is_read() -> None:
    written = encoded(drawn(280), "PNG")
    at, end = written.index(b"IDAT") - 4, written.index(b"IEND") - 4
    pixels = written[at + 8 : end - 4]
    crumbs = b"".join(hostile.chunk(b"IDAT", pixels[i : i + 1]) for i in range(len(pixels)))
    text = b"".join(hostile.chunk(b"tEXt", b"Comment\0%d" % i) for i in range(100))
    assert result_of(written[:at] + text + crumbs + written[end:]) == "ink"
    assert result_of(written + bytes(100_000)) == "ink"  # what comes after its end is no matter


def test_a_progressive_photo_is_read() -> None:
    assert result_of(encoded(drawn(280), "JPEG", progressive=True)) == "ink"


SEEDS = [encoded(drawn(40), kind) for kind in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")]


@settings(max_examples=600, deadline=None, derandomize=True, database=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=6),
    st.integers(0, 50),
)
def test_damaged_pictures_give_pixels_or_a_bad_image(data: bytes, changes: list[tuple[int, int]], lost: int) -> None:
    changed = bytearray(data)
    for position, value in changes:
        changed[position % len(data)] = value
    assert result_of(bytes(changed[: len(data) - lost])) in RESULTS


ODD_CHUNKS = st.tuples(
    st.sampled_from([b"tRNS", b"PLTE", b"eXIf", b"iCCP", b"acTL", b"gAMA", b"pHYs"]), st.binary(max_size=40)
)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(
    st.integers(0, 300),
    st.integers(0, 300),
    st.sampled_from([1, 2, 4, 8, 16]),
    st.integers(0, 7),
    st.lists(ODD_CHUNKS, max_size=3),
)
def test_odd_pngs_give_pixels_or_a_bad_image(
    width: int, height: int, bits: int, colour: int, odd: list[tuple[bytes, bytes]]
) -> None:
    chunks = [hostile.chunk(kind, data) for kind, data in odd]
    assert result_of(hostile.png(width, height, *chunks, bits=bits, colour=colour)) in RESULTS


RESULTS = {"black", "ink", "empty", "not_an_image", "broken", "too_large", "animated"}


def result_of(data: bytes) -> str:
    """Return the code of the refusal, or else whether the (28, 28) pixels hold ink."""
    try:
        pixels = image.read(data)
    except BadImage as refusal:
        return refusal.code
    if pixels.shape != (28, 28) or pixels.dtype != np.uint8:
        return f"{pixels.dtype} {pixels.shape}"
    return "ink" if pixels.any() else "black"


HEAVY: dict[str, Callable[[], bytes]] = {
    "black": lambda: hostile.black_png(7071, 7071),
    "bits": lambda: hostile.black_png(7071, 7071, "1"),
    "colours with alpha": lambda: hostile.black_png(7071, 7071, "RGBA"),
    "grey with alpha": lambda: hostile.black_png(7071, 7071, "LA"),
    "one row": lambda: hostile.black_png(50_000_000, 1),
    "text bomb": hostile.png_with_text_bomb,
    "declared": lambda: hostile.png(100_000, 100_000),
    "frames": lambda: hostile.gif_of(1_000),
    "growing frame": hostile.gif_with_growing_frame,
}


@pytest.mark.parametrize("name", HEAVY)
def test_memory_is_bounded_by_the_pixels_that_are_allowed(name: str, tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(HEAVY[name]())
    command = [sys.executable, "-c", PEAK, str(tmp_path / "picture")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    idle, peak = map(int, done.stdout.split())
    assert peak - idle < 13 * MAX_PIXELS, f"{(peak - idle) >> 20} MiB"  # 4 bytes, three times


PEAK = """
import pathlib, re, sys
from digits import image
from digits.decode import MAX_PIXELS
from digits.errors import BadImage

def peak():  # what getrusage says would include the process that started this one
    return int(re.search(r"VmHWM:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]) * 1024

image.look(image.Image.new("L", (99, 99)))
before = peak()
try:
    image.read(pathlib.Path(sys.argv[1]).read_bytes())
except BadImage:
    pass
print(before, peak())
"""


def test_a_lack_of_memory_is_not_the_fault_of_the_picture(tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(hostile.black_png(2000, 2000, "RGBA"))
    command = [sys.executable, "-c", LITTLE_MEMORY, str(tmp_path / "picture")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    outcomes = done.stdout.split()
    assert outcomes[-1] == "pixels"
    assert set(outcomes[:-1]) == {"MemoryError"}


LITTLE_MEMORY = """
import pathlib, resource, sys
from digits import image

data = pathlib.Path(sys.argv[1]).read_bytes()
image.look(image.Image.new("L", (99, 99)))
used = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
hard = resource.getrlimit(resource.RLIMIT_AS)[1]
outcome = ""
for spare in range(0, 200, 10):  # MiB, until they are enough
    if outcome != "pixels":
        resource.setrlimit(resource.RLIMIT_AS, (used + (spare << 20), hard))
        try:
            image.read(data)
            outcome = "pixels"
        except Exception as exc:
            outcome = type(exc).__name__
        print(outcome)
"""


# --- plain PNGs ---------------------------------------------------------------------------------


def the_long_way(data: bytes) -> Pixels | str:
    try:
        return image.look(decode.decode(decode.identify(data)).image).pixels
    except BadImage as exc:
        return exc.code


def read_or_code(data: bytes) -> Pixels | str:
    try:
        return image.read(data)
    except BadImage as exc:
        return exc.code


def plain_png(rows: NDArray[np.uint8], *between: bytes, bits: int = 8, colour: int = 0, interlaced: int = 0) -> bytes:
    """Return a PNG of 28x28 of (28, n) bytes of rows, the type of each row's filter first, with chunks before them."""
    header = hostile.chunk(b"IHDR", struct.pack(">IIBBBBB", 28, 28, bits, colour, 0, 0, interlaced))
    pixels = hostile.chunk(b"IDAT", zlib.compress(rows.tobytes()))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(between) + pixels + hostile.chunk(b"IEND", b"")


def random_rows(bits: int, channels: int = 1, filters: Sequence[int] = range(5), seed: int = 0) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    rows = random.integers(0, 256, (28, 1 + -(-28 * bits * channels // 8)), np.uint8)
    rows[:, 0] = random.choice(filters, 28)
    return rows


def palette(colours: int, grey: bool = True) -> bytes:
    """Return a chunk of so many colours."""
    values = np.random.default_rng(colours).integers(0, 256, (colours, 3), np.uint8)
    return hostile.chunk(b"PLTE", (np.repeat(values[:, :1], 3, 1) if grey else values).tobytes())


def assert_plain(data: bytes, is_plain: bool = True) -> None:
    """Take it the short way, if it is plain, and read it as any other."""
    assert plain.is_plain(data) == is_plain
    pixels = plain.decode_plain(data)
    assert (pixels is not None) == is_plain
    if pixels is not None:
        in_full = decode.decode(decode.identify(data)).image
        np.testing.assert_array_equal(pixels, np.asarray(uncoloured(in_full)))
    np.testing.assert_array_equal(read_or_code(data), the_long_way(data))


@pytest.mark.parametrize("level", [0, 9])
def test_a_plain_png_is_read_as_any_other(level: int) -> None:
    images = [*mnist(200)[0], *np.random.default_rng(0).integers(0, 256, (20, 28, 28)).astype(np.uint8)]
    for pixels in images:
        assert_plain(encoded(Image.fromarray(pixels), "PNG", compress_level=level))


@pytest.mark.parametrize("filters", [[0], [1], [2], [3], [4], range(5)])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_plain_png_may_be_grey_of_any_depth_and_filter(bits: int, filters: Sequence[int]) -> None:
    assert_plain(plain_png(random_rows(bits, filters=filters), bits=bits))


@pytest.mark.parametrize("grey", [True, False])
@pytest.mark.parametrize("filters", [[0], [1], [2], [3], [4], range(5)])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_plain_png_may_have_a_palette(bits: int, filters: Sequence[int], grey: bool) -> None:
    assert_plain(plain_png(random_rows(bits, filters=filters), palette(1 << bits, grey), bits=bits, colour=3))


@pytest.mark.parametrize("colours", [1, 2, 17, 255])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_an_index_beyond_the_palette_of_a_plain_png_is_that_of_any_other(bits: int, colours: int) -> None:
    assert_plain(plain_png(random_rows(bits), palette(colours), bits=bits, colour=3))


@pytest.mark.parametrize("picture", [drawn(28, scale=0.14), drawn(28, 90, 200, 0.14)])
@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_a_plain_png_with_a_digit_is_read_as_any_other(mode: str, picture: Image.Image) -> None:
    assert_plain(encoded(picture.convert(mode), "PNG"))


@pytest.mark.parametrize("filters", [[0], [1], [2], [3], [4], range(5)])
def test_a_plain_png_may_be_in_colour(filters: Sequence[int]) -> None:
    assert_plain(plain_png(random_rows(8, 3, filters), colour=2))


def test_a_plain_png_may_say_how_it_was_made() -> None:
    told = {b"sRGB": 1, b"gAMA": 4, b"cHRM": 32, b"pHYs": 9}
    chunks = [hostile.chunk(name, bytes(range(1, 1 + length))) for name, length in told.items()]
    assert_plain(plain_png(random_rows(8), *chunks, palette(200), colour=3))
    for name, length in told.items():
        for wrong in (length - 1, length + 1):
            assert_plain(plain_png(random_rows(8), hostile.chunk(name, bytes(wrong))), is_plain=False)


GREY = random_rows(8)
NOT_PLAIN: dict[str, Callable[[], bytes]] = {
    "transparent colours": lambda: plain_png(GREY, palette(256), hostile.chunk(b"tRNS", bytes([0, 9, 255])), colour=3),
    "a transparent grey": lambda: plain_png(GREY, hostile.chunk(b"tRNS", bytes(2))),
    "interlaced": lambda: plain_png(GREY, palette(256), colour=3, interlaced=1),
    "bits": lambda: encoded(drawn(28, scale=0.14).convert("1"), "PNG"),
    "16 bits": lambda: plain_png(random_rows(16), bits=16),
    "alpha": lambda: plain_png(random_rows(8, 4), colour=6),
    "3 bits": lambda: plain_png(random_rows(3), bits=3),
    "16 bits of a palette": lambda: plain_png(random_rows(16), palette(256), bits=16, colour=3),
    "no palette": lambda: plain_png(GREY, colour=3),
    "an empty palette": lambda: plain_png(GREY, palette(0), colour=3),
    "257 colours": lambda: plain_png(GREY, palette(257), colour=3),
    "a third of a colour": lambda: plain_png(GREY, hostile.chunk(b"PLTE", bytes(31)), colour=3),
    "two palettes": lambda: plain_png(GREY, palette(9), palette(8), colour=3),
    "a palette for grey": lambda: plain_png(GREY, palette(256)),
    "a palette for colours": lambda: plain_png(random_rows(8, 3), palette(256), colour=2),
    "turned": lambda: encoded(drawn(28, scale=0.14), "PNG", exif=turned()),
    "a comment": lambda: plain_png(GREY, hostile.chunk(b"tEXt", b"Comment\0seven")),
    "animated": lambda: encoded(drawn(28), "PNG", save_all=True, append_images=[drawn(28).rotate(90)]),
    "pixels in two chunks": lambda: in_two_chunks(plain_png(GREY)),
    "pixels before the palette": lambda: palette_last(plain_png(GREY, palette(256), colour=3)),
    "something after its end": lambda: plain_png(GREY) + b"\0",
    "no end": lambda: plain_png(GREY)[:-12],
    "no pixels": lambda: plain_png(GREY)[:33] + hostile.chunk(b"IEND", b""),
    "nothing but a head": lambda: plain_png(GREY)[:33],
    "another size": lambda: hostile.png(28, 27),
}


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def in_two_chunks(data: bytes) -> bytes:
    packed = data[41:-16]
    return data[:33] + hostile.chunk(b"IDAT", packed[:100]) + hostile.chunk(b"IDAT", packed[100:]) + data[-12:]


def palette_last(data: bytes) -> bytes:
    start = data.index(b"PLTE") - 4
    end = start + 12 + 768
    return data[:start] + data[end:-12] + data[start:end] + data[-12:]


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_what_is_not_plain_is_left_to_the_long_way(name: str) -> None:
    assert_plain(NOT_PLAIN[name](), is_plain=False)


@pytest.mark.parametrize("length", [0, 1, 28, 27 * 29, 28 * 29 - 1, 28 * 29 + 1, 29 * 29, 100_000])
@pytest.mark.parametrize("colour", [0, 3])
def test_too_few_or_many_pixels_of_a_plain_png_are_those_of_any_other(colour: int, length: int) -> None:
    data = plain_png(np.resize(GREY, length), *([palette(256)] if colour else []), colour=colour)
    assert plain.is_plain(data)
    np.testing.assert_array_equal(read_or_code(data), the_long_way(data))


@pytest.mark.parametrize(
    "data",
    [
        png(mnist(1)[0][0]),
        plain_png(GREY, hostile.chunk(b"sRGB", b"\0"), palette(250), colour=3),
        plain_png(random_rows(4), palette(16, grey=False), bits=4, colour=3),
        encoded(drawn(28, scale=0.14).convert("RGB"), "PNG"),
    ],
    ids=["grey", "palette", "palette of 16 colours", "colours"],
)
def test_a_damaged_plain_png_gets_the_verdict_of_any_other(data: bytes) -> None:
    random, start = np.random.default_rng(1), data.index(b"IDAT")
    for _ in range(500):
        changed = bytearray(data)
        changed[random.integers(len(data))] ^= 1 << random.integers(8)
        if random.random() < 0.5:  # a checksum that hides the damage
            changed[-16:-12] = zlib.crc32(changed[start:-16]).to_bytes(4, "big")
        np.testing.assert_array_equal(read_or_code(bytes(changed)), the_long_way(bytes(changed)))


@pytest.mark.parametrize("colour", [0, 3])
def test_a_plain_png_cut_short_gets_the_verdict_of_any_other(colour: int) -> None:
    data = plain_png(GREY, *([palette(256)] if colour else []), colour=colour)
    for length in range(0, len(data), 7):
        np.testing.assert_array_equal(read_or_code(data[:length]), the_long_way(data[:length]))
