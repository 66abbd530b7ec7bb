"""Bodies in gzip and deflate, both ways, with a bound on what comes out. Knows nothing of what they hold."""

from __future__ import annotations

import zlib

from service.problems import Problem

IDENTITY = b"identity"
WINDOWS = {  # deflate means zlib, and x-gzip gzip: RFC 9110, section 8.4.1
    b"gzip": 16 + zlib.MAX_WBITS, b"x-gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS,
}  # fmt: skip


def inflate(body: bytes, encoding: bytes, most: int) -> bytes:
    """Return what a body holds, at most so many bytes. Raises `Problem`."""
    name = encoding.decode()
    stream = zlib.decompressobj(WINDOWS[encoding])
    try:
        plain = stream.decompress(body, most + 1)
    except zlib.error as exc:
        raise Problem(400, "malformed", f"the body is not {name}: {exc}") from exc
    if len(plain) > most:
        raise Problem(413, "too_large", f"a request may have at most {most:,} bytes, which this one exceeds unpacked")
    if not stream.eof or stream.unused_data:
        raise Problem(400, "malformed", f"the body is {name} that is cut short, or followed by something else")
    return plain


def deflate(body: bytes, encoding: bytes) -> bytes:
    stream = zlib.compressobj(wbits=WINDOWS[encoding])
    return stream.compress(body) + stream.flush()
