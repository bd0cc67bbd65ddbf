"""What a register holds, as bytes and back."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from taskmesh.consensus.value import (
    ANSWER_SIZE_MAX,
    CONTENT_SIZE_MAX,
    OPERATIONS_MAX,
    Done,
    Packing,
    Value,
    absent,
    digest,
)
from taskmesh.errors import NewerFormat, TrustError, UsageError

plain = Packing(bytes, bytes)


@given(
    some.integers(1, 2**60),
    some.none() | some.binary(max_size=99),
    some.lists(some.builds(Done, some.binary(max_size=9), some.integers(0, 99), some.binary(max_size=9))),
)
def test_a_value_comes_back(version: int, content: bytes | None, done: list[Done]) -> None:
    value = Value(version, content, tuple(done))
    assert plain.unpack("a/b", plain.pack("a/b", value)) == value


def test_the_last_operations_are_remembered() -> None:
    value = absent(1)
    for at in range(100):
        value = value.followed_by(b"", b"%d" % at, b"did %d" % at)
    assert value.version == 100
    assert value.done(b"99") == Done(b"99", 100, b"did 99")
    assert [done.operation for done in value.operations] == [
        b"%d" % at for at in range(100 - OPERATIONS_MAX, 100)
    ]
    assert value.done(b"67") is None


def test_each_configuration_counts_versions_from_a_number_of_its_own() -> None:
    """So what was deleted and left behind does not come again with a version that somebody knows."""
    assert absent(1).followed_by(b"x", b"", b"").version == 1
    assert absent(3).version - absent(2).version >= OPERATIONS_MAX


def test_too_much_is_refused() -> None:
    most = absent(1).followed_by(b"x" * CONTENT_SIZE_MAX, b"1", b"a" * ANSWER_SIZE_MAX)
    assert most.version == 1
    with pytest.raises(UsageError, match="content of 66049 bytes: a register holds at most 66048"):
        absent(1).followed_by(b"x" * (CONTENT_SIZE_MAX + 1), b"1", b"")
    with pytest.raises(UsageError, match="an answer of 1025 bytes"):
        absent(1).followed_by(b"", b"1", b"a" * (ANSWER_SIZE_MAX + 1))


def test_a_value_belongs_to_its_register() -> None:
    with pytest.raises(UsageError, match="the value of register one lies in register two"):
        plain.unpack("two", plain.pack("one", absent(1)))


def test_what_is_not_signed_is_not_read() -> None:
    def refuse(_: bytes) -> bytes:
        raise TrustError("no")

    with pytest.raises(TrustError):
        Packing(bytes, refuse).unpack("r", plain.pack("r", absent(1)))


def test_another_format_is_told_apart() -> None:
    newer = msgspec.msgpack.encode((2, "r", 1, b"", []))
    with pytest.raises(NewerFormat, match="register r is of format 2; this TaskMesh knows 1"):
        plain.unpack("r", newer)
    with pytest.raises(NewerFormat, match="register r: its value cannot be read"):
        plain.unpack("r", b"\xff")


@given(some.binary(), some.binary())
def test_a_digest_tells_values_apart(one: bytes, other: bytes) -> None:
    assert (digest(one) == digest(other)) == (one == other)
    assert len(digest(one)) == 32
