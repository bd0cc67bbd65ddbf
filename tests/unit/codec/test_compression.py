"""Compression saves bytes where it can, and expansion believes nothing."""

import os
import zlib

import pytest

from taskmesh.codec.compression import expand, shrink
from taskmesh.errors import Malformed


def packed(size: int, stream: bytes) -> bytes:
    return size.to_bytes(8, "big") + stream


@pytest.mark.parametrize("size", [1000, 65_537, 1_000_000])
def test_a_body_comes_back(size: int) -> None:
    body = b"taskmesh " * (size // 9)
    small = shrink(body)
    assert small is not None
    assert len(small) < len(body) / 10
    assert expand(small, max_size=len(body)) == body


@pytest.mark.parametrize("size", [0, 1, 100, 200_000])
def test_what_does_not_shrink_is_left_alone(size: int) -> None:
    assert shrink(os.urandom(size)) is None


def test_a_body_with_a_dense_middle_only_is_left_alone_for_speed() -> None:
    assert shrink(bytes(90_000) + os.urandom(40_000) + bytes(50_000)) is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "cut short"),
        (packed(5, b""), "cut short"),
        (packed(1001, zlib.compress(bytes(1001))), "says that it has 1001 bytes, and 1000 are allowed"),
        (packed(2**64 - 1, zlib.compress(b"x")), "are allowed"),
        (packed(900, b"\x00"), "does not have the 900 bytes"),
        (packed(100, b"not zlib at all"), "cannot be expanded"),
        (packed(99, zlib.compress(bytes(100))), "does not have the 99 bytes"),
        (packed(101, zlib.compress(bytes(100))), "does not have the 101 bytes"),
        (packed(100, zlib.compress(os.urandom(100))[:-4]), "does not have the 100 bytes"),
        (packed(100, zlib.compress(bytes(100)) + b"more"), "does not have the 100 bytes"),
        (packed(0, zlib.compress(b"x")), "does not have the 0 bytes"),
    ],
)
def test_a_lie_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        expand(body, max_size=1000)


def test_an_impossible_ratio_is_refused_before_anything_is_expanded() -> None:
    with pytest.raises(Malformed, match="of 10 bytes cannot have 1000000 bytes"):
        expand(packed(1_000_000, bytes(10)), max_size=2**30)


def test_an_empty_body_comes_back() -> None:
    assert expand(packed(0, zlib.compress(b"")), max_size=0) == b""
