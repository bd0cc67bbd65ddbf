"""Versions of records: eight digits of 36, whose order as text is the order of the changes.

On one node each change counts one up. In a mesh of several nodes the first four digits say in which view a change was
made, so that no two primaries ever give one version to two changes, and the greater version is the newer record.
"""

from __future__ import annotations

DIGITS = b"0123456789abcdefghijklmnopqrstuvwxyz"
WIDTH = 8
#: So many moves of one record fit into a view, and so many views into the versions.
_PART = 36**4


def encode(number: int) -> bytes:
    """Return the version of a number."""
    out = bytearray(WIDTH)
    for at in range(WIDTH - 1, -1, -1):
        number, digit = divmod(number, 36)
        out[at] = DIGITS[digit]
    return bytes(out)


def is_replicated(epoch: bytes) -> bool:
    """Tell whether an epoch is one of a mesh of several nodes."""
    return epoch[:1] == b"f"


def floor_of(epoch: bytes) -> int:
    """Return the least version, as a number, that a change in this epoch gives."""
    return int(epoch[1:], 16) % _PART * _PART if is_replicated(epoch) else 0


def after(version: bytes, epoch: bytes) -> bytes:
    """Return the version that a change in this epoch gives to a record of the given one.

    What is no version counts as none, as the scripts see it.
    """
    number = int(version, 36) if len(version) == WIDTH and not version.translate(None, DIGITS) else 0
    return encode(max((number + 1) % 36**WIDTH or 1, floor_of(epoch)))
