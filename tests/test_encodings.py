"""Packed bodies: what comes out is bounded, whole, and nothing more."""

from __future__ import annotations

import gzip
import zlib

import pytest

from service.encodings import deflate, inflate
from service.problems import Problem

TEXT = b"digits " * 100
PACKED = {b"gzip": gzip.compress(TEXT), b"deflate": zlib.compress(TEXT)}


@pytest.mark.parametrize("encoding", PACKED)
def test_what_others_packed_is_unpacked_and_the_other_way_round(encoding: bytes) -> None:
    assert inflate(PACKED[encoding], encoding, len(TEXT)) == TEXT
    packed = deflate(TEXT, encoding)
    assert (gzip.decompress(packed) if encoding == b"gzip" else zlib.decompress(packed)) == TEXT


@pytest.mark.parametrize("encoding", PACKED)
def test_no_more_comes_out_than_may(encoding: bytes) -> None:
    with pytest.raises(Problem, match="at most 699 bytes") as raised:
        inflate(PACKED[encoding], encoding, len(TEXT) - 1)
    assert raised.value.status == 413


@pytest.mark.parametrize("encoding", PACKED)
@pytest.mark.parametrize(
    "damage", [lambda body: body[:-1], lambda body: body + b"x", lambda body: b"x", lambda body: b""]
)
def test_what_is_damaged_is_refused(encoding: bytes, damage: object) -> None:
    assert callable(damage)
    with pytest.raises(Problem) as raised:
        inflate(damage(PACKED[encoding]), encoding, 1000)
    assert (raised.value.status, raised.value.code) == (400, "malformed")
