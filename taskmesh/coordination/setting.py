"""What operators set, as registers hold it: a struct whose fields stand at their defaults where nobody set anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from taskmesh.consensus.registers import Change, Delete, Keep, Verdict, Versioned, Write
from taskmesh.coordination.content import Content

S = TypeVar("S", bound=msgspec.Struct)


class Setting(Generic[S]):
    """Reads and changes one kind of setting. A register that says nothing is no register."""

    def __init__(self, kind: type[S], what: str, formats: int) -> None:
        """Prepare; see `Content`."""
        self._plain = kind()
        self._content = Content(kind, what, formats)

    def unpack(self, content: bytes | None) -> S:
        """Return what a register says.

        Raises:
            NewerFormat, Malformed: It cannot be read.
        """
        return self._plain if content is None else self._content.unpack(content)

    def changed(self, make: Callable[[S], S]) -> Change:
        """Return the change that makes something else of a setting."""

        def change(found: Versioned) -> Verdict:
            old = self.unpack(found.content)
            new = make(old)
            if new == old:
                return Keep()
            return Delete() if new == self._plain else Write(self._content.pack(new))

        return change
