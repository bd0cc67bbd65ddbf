"""What a register holds, as bytes: content, version, and which operations made it."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from taskmesh.errors import NewerFormat, UsageError

FORMAT = 1
#: A file of 64 KiB, and what is kept beside its content.
CONTENT_SIZE_MAX = 64 * 1024 + 512
ANSWER_SIZE_MAX = 1024
#: Operations that a value remembers: a change that is repeated within so many others is known again.
OPERATIONS_MAX = 32


class Done(NamedTuple):
    """An operation that made, or looked at, a value.

    Attributes:
        operation: Its id.
        version: The version that it made.
        answer: What its change answered.
    """

    operation: bytes
    version: int
    answer: bytes


class Value(NamedTuple):
    """A register's value.

    Attributes:
        version: 1 for the first, one more for each change; a deletion is a change. What a register that is not there
            counts from is told by `absent`.
        content: None when it was deleted, or never was.
        operations: The last that changed it, the latest last.
    """

    version: int
    content: bytes | None
    operations: tuple[Done, ...] = ()

    def done(self, operation: bytes) -> Done | None:
        """Return what an operation did, if it is among the last."""
        return next((done for done in reversed(self.operations) if done.operation == operation), None)

    def followed_by(self, content: bytes | None, operation: bytes, answer: bytes) -> Value:
        """Return the next value.

        Raises:
            UsageError: Content or answer is too long.
        """
        if content is not None and len(content) > CONTENT_SIZE_MAX:
            raise UsageError(f"content of {len(content)} bytes: a register holds at most {CONTENT_SIZE_MAX}")
        if len(answer) > ANSWER_SIZE_MAX:
            raise UsageError(f"an answer of {len(answer)} bytes: at most {ANSWER_SIZE_MAX} are remembered")
        version = self.version + 1
        done = Done(operation, version, answer)
        return Value(version, content, (*self.operations[1 - OPERATIONS_MAX :], done))


#: More changes than one register sees in one configuration.
CHANGES_MAX = 2**32


def absent(number: int) -> Value:
    """Return what a register is that a configuration has no value of: never written, or deleted and left behind.

    Each configuration counts on from a number of its own. So no version of a register is ever used twice, and an
    operation that was sent in an earlier one is known to be too old to be told whether it was done.
    """
    return Value((number - 1) * CHANGES_MAX, None)


Seal = Callable[[bytes], bytes]


class Packing:
    """Turns values into bytes which are signed, and back.

    The name of the register is part of what is signed: a value cannot be passed off for another register's.
    """

    def __init__(self, seal: Seal, unseal: Seal) -> None:
        """Take what signs bytes, and what verifies them and raises `TrustError` if they must not be read."""
        self._seal = seal
        self._unseal = unseal
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(tuple[int, str, int, bytes | None, list[Done]]).decode

    def pack(self, name: str, value: Value) -> bytes:
        """Return a value as it is given to acceptors."""
        return self._seal(
            self._encode((FORMAT, name, value.version, value.content, list(map(tuple, value.operations))))
        )

    def unpack(self, name: str, packed: bytes) -> Value:
        """Return the value that an acceptor told.

        Raises:
            TrustError: It must not be read, or is another register's.
        """
        payload = self._unseal(packed)
        try:
            version_of_format, told, version, content, operations = self._decode(payload)
        except msgspec.DecodeError as error:
            raise NewerFormat(f"register {name}: its value cannot be read: {error}") from error
        if version_of_format > FORMAT:
            raise NewerFormat(
                f"register {name} is of format {version_of_format}; this TaskMesh knows {FORMAT}"
            )
        if told != name:
            raise UsageError(f"the value of register {told} lies in register {name}")
        return Value(version, content, tuple(operations))


def digest(packed: bytes) -> bytes:
    """Return what tells two values of one ballot apart: 32 hex digits."""
    return blake2b(packed, digest_size=16).hexdigest().encode()
