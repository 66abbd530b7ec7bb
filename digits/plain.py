"""Decode the short way what needs no more: a PNG of 28x28 pixels with nothing in it but these.

    bytes -> its chunks -> Pillow's decoder of their rows -> (28, 28) pixels in grey

Such files are common, and Pillow's general path would take half as long as the recognition itself.
What is odd in the least is left to `digits.decode`, which gives the same pixels for the rest.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from digits.grey import brightness
from digits.sizes import SIDE


def head(bits: int, colour: int) -> bytes:
    """Return the signature and first chunk of a PNG of 28x28, not interlaced (PNG, third edition, 5.2 and 11.2.1)."""
    header = struct.pack(">4sIIBBBBB", b"IHDR", SIDE, SIDE, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + zlib.crc32(header).to_bytes(4, "big")


HEADS = {  # to Pillow's mode of the picture, and its name for how that is stored
    head(2, 0): ("L", "L;2"),
    head(4, 0): ("L", "L;4"),
    head(8, 0): ("L", "L"),
    head(8, 2): ("RGB", "RGB"),
    head(1, 3): ("P", "P;1"),
    head(2, 3): ("P", "P;2"),
    head(4, 3): ("P", "P;4"),
    head(8, 3): ("L", "L"),  # indices that are laid out as brightnesses are, and need no palette to be decoded
}
CHUNKS = {  # to the bytes that they may have; only palette and pixels say how a picture looks here
    b"sRGB": (1,),
    b"gAMA": (4,),
    b"cHRM": (32,),
    b"pHYs": (9,),
    b"PLTE": range(3, 769, 3),
    b"IDAT": range(2500),  # 784 pixels in colour take 2,391 without any compression
}
CHUNK = struct.Struct(">I4s")  # how long it is, and its name
INDEXED = 3  # the kind of colour that takes a palette
END = b"\0\0\0\0IEND\xaeB`\x82"
MOST = 4096  # bytes of all


def is_plain(data: bytes) -> bool:
    """Tell whether this is a PNG of 28x28 with nothing in it but its pixels, so that its cost is known."""
    return bool(chunks_between(data))


def decode_plain(data: bytes) -> NDArray[np.uint8] | None:
    """Return the (28, 28) pixels of what `is_plain`, in grey; None if they must be decoded the long way."""
    chunks = chunks_between(data)
    if not chunks:
        return None
    mode, stored = HEADS[data[:33]]
    try:
        values = Image.frombytes(mode, (SIDE, SIDE), chunks[b"IDAT"], "zip", (stored, 0)).tobytes()
    except Exception:  # the long way says what is wrong
        return None
    if b"PLTE" in chunks:  # what is beyond the palette is black, as it is for Pillow
        values = values.translate(brightness(chunks[b"PLTE"]).ljust(256, b"\0"))
    elif mode == "RGB":
        values = brightness(values)
    return np.frombuffer(values, np.uint8).reshape(SIDE, SIDE)


def chunks_between(data: bytes) -> dict[bytes, bytes]:
    """Return what the chunks between the first and the last of a plain PNG hold, by name; of any other, nothing."""
    if data[:33] not in HEADS or len(data) > MOST or not data.endswith(END):
        return {}
    chunks: dict[bytes, bytes] = {}
    name, at, last = b"", 33, len(data) - len(END)
    while at < last:
        length, name = CHUNK.unpack_from(data, at)
        end = at + 8 + length
        checksum = zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")
        if name in chunks or length not in CHUNKS.get(name, ()) or data[end : end + 4] != checksum:
            return {}
        chunks[name] = data[at + 8 : end]
        at = end + 4
    has_palette = data[25] == INDEXED
    return chunks if at == last and name == b"IDAT" and (b"PLTE" in chunks) == has_palette else {}
