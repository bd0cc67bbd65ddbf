"""What clients asked and were answered: the history that checkers judge, and that can be written as JSON lines."""

from __future__ import annotations

import json
from typing import IO, Any

#: Ends of an operation: it did what it says, certainly nothing, or one of the two.
DONE, REJECTED, UNKNOWN = "done", "rejected", "unknown"


class Asked:
    """One operation of a client.

    Attributes:
        process: Whose.
        register: Of which register.
        kind: `append`, `delete` or `read`.
        word: What is appended; the operation's id.
        start_s: When it was asked.
        end_s: When it was answered; infinite if it was not.
        end: How it ended.
        version: Which it made or found; 0 for a register that is not there; None if only `content` was told.
        content: What the register held afterwards, or when it was read.
    """

    __slots__ = (
        "content", "end", "end_s", "kind", "process", "register", "start_s", "version", "word",
    )  # fmt: skip

    def __init__(self, process: str, register: str, kind: str, word: bytes, start_s: float) -> None:
        self.process = process
        self.register = register
        self.kind = kind
        self.word = word
        self.start_s = start_s
        self.end_s = float("inf")
        self.end = UNKNOWN
        self.version: int | None = None
        self.content: bytes | None = None

    def told(self, now_s: float, version: int | None, content: bytes | None) -> None:
        """Note the answer."""
        self.end, self.end_s, self.version, self.content = DONE, now_s, version, content

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "process": self.process,
            "register": self.register,
            "kind": self.kind,
            "word": self.word.decode(),
            "start_s": self.start_s,
            "end_s": None if self.end == UNKNOWN else self.end_s,
            "end": self.end,
            "version": self.version,
            "content": None if self.content is None else self.content.decode(),
        }


class History:
    """All operations of a run, in the order in which they were asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    def ask(self, process: str, register: str, kind: str, word: bytes, now_s: float) -> Asked:
        """Note that something is asked."""
        asked = Asked(process, register, kind, word, now_s)
        self.asked.append(asked)
        return asked

    def of(self, register: str) -> list[Asked]:
        """Return what was asked of a register."""
        return [asked for asked in self.asked if asked.register == register]

    def write(self, out: IO[str]) -> None:
        """Write it, a line for each operation."""
        for asked in self.asked:
            out.write(json.dumps(asked.as_dict()) + "\n")
