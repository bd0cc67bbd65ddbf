"""Compress large bodies, and expand them without trusting what they claim.

A compressed body is `clear size (8 bytes, big-endian) | zlib stream`.
"""

from __future__ import annotations

import zlib
from typing import Final

from taskmesh.errors import Malformed

_SIZE_BYTES: Final = 8
_LEVEL: Final = 1  # Five times faster than the default 6, for a tenth more bytes.
_SAMPLE_BYTES: Final = 16 * 1024
_WORTH: Final = 0.9
_RATIO_MAX: Final = 1032  # What deflate can reach at best; a larger claim is a lie or a bomb.


def shrink(body: bytes) -> bytes | None:
    """Return `body` compressed, or None when that would save less than a tenth."""
    if len(body) > 4 * _SAMPLE_BYTES:
        # Images and archives do not shrink: a sample from the middle finds out for little.
        middle = len(body) // 2
        sample = body[middle : middle + _SAMPLE_BYTES]
        if len(zlib.compress(sample, _LEVEL)) > len(sample) * _WORTH:
            return None
    packed = len(body).to_bytes(_SIZE_BYTES, "big") + zlib.compress(body, _LEVEL)
    return packed if len(packed) < len(body) * _WORTH else None


def expand(packed: bytes, *, max_size: int) -> bytes:
    """Return what `shrink` was given.

    The claimed size is checked before anything is expanded, and no more than that is ever allocated.

    Args:
        packed: A compressed body whose signature has been verified.
        max_size: Most bytes to return.

    Raises:
        Malformed: It is too large, is not what it claims, or is not compressed data.
    """
    size = int.from_bytes(packed[:_SIZE_BYTES], "big")
    length = len(packed) - _SIZE_BYTES
    if length <= 0:
        raise Malformed(f"a compressed body of {len(packed)} bytes is cut short")
    if size > max_size:
        raise Malformed(
            f"a compressed body says that it has {size} bytes, and {max_size} are allowed",
            size=size,
            limit=max_size,
        )
    if size > length * _RATIO_MAX:
        raise Malformed(f"a compressed body of {length} bytes cannot have {size} bytes as it says", size=size)
    stream = zlib.decompressobj()
    try:
        # One byte more than claimed, so that a longer stream shows itself; 0 would mean no bound.
        body = stream.decompress(memoryview(packed)[_SIZE_BYTES:], size + 1)
    except zlib.error as error:
        raise Malformed(f"a compressed body of {length} bytes cannot be expanded: {error}") from error
    if len(body) != size or not stream.eof or stream.unused_data:
        raise Malformed(f"a compressed body does not have the {size} bytes that it says", size=size)
    return body
