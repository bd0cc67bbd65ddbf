"""What registers hold, as bytes: each a struct of its own, which says so when it cannot be read."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from taskmesh.errors import Malformed, NewerFormat

S = TypeVar("S", bound=msgspec.Struct)


class _Format(msgspec.Struct):
    format: int = 0


class Content(Generic[S]):
    """Packs and unpacks one kind of content.

    A struct that is a map may have a field `format`, which a later version raises when this one must not read it. In
    one that is an array new fields go at the end, and are passed over here.
    """

    def __init__(self, kind: type[S], what: str, formats: int = 0) -> None:
        """Prepare.

        Args:
            kind: The struct.
            what: What it is, for people: `the cursor of a shard`.
            formats: The highest format that can be read; 0 where it has none.
        """
        self._what = what
        self._formats = formats
        self.pack = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(kind).decode

    def unpack(self, content: bytes) -> S:
        """Return what a register holds.

        Raises:
            NewerFormat: It was written by a newer TaskMesh.
            Malformed: It is something else.
        """
        try:
            found = self._decode(content)
        except msgspec.DecodeError as error:
            self._check(_format_of(content))
            raise Malformed(f"{self._what} cannot be read: {error}") from error
        self._check(getattr(found, "format", 0))
        return found

    def _check(self, number: int) -> None:
        if number > self._formats:
            raise NewerFormat(
                f"{self._what}: it is of format {number}; this TaskMesh knows {self._formats}: upgrade it"
            )


def _format_of(content: bytes) -> int:
    try:
        return msgspec.msgpack.decode(content, type=_Format).format
    except msgspec.DecodeError:
        return 0
