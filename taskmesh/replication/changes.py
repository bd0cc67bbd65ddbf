"""What a script on a primary says that it changed, and who has to have it before that counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from taskmesh.core.ids import routing_of, slot_of
from taskmesh.errors import Malformed
from taskmesh.replication.view import View

#: What the answer of a script begins with in a mesh of several nodes.
TOLD = b"+"
#: How many words an entry of each kind has, after its kind.
WIDTHS = {b"w": 3, b"h": 3, b"b": 4, b"p": 2, b"u": 4}
_SLOT = slice(52, 56)


@dataclass(frozen=True, slots=True)
class Entry:
    """A record that changed, or what is noted beside one.

    Attributes:
        words: As `apply.lua` takes it.
        task_id: Whose record.
        slot: Where that lives.
    """

    words: tuple[bytes, ...]
    task_id: bytes
    slot: int


@dataclass(slots=True)
class Changes:
    """What one call changed on one primary.

    Attributes:
        primary: The node.
        entries: Records that W copies must have.
        notices: Channels and what is to be told there, once they do.
        handed: Messages that idle children were given, of which they are told then: as `hand_over.lua` takes them.
    """

    primary: str
    entries: list[Entry] = field(default_factory=list)
    notices: list[tuple[bytes, bytes]] = field(default_factory=list)
    handed: list[tuple[bytes, ...]] = field(default_factory=list)


def read_changes(primary: str, told: Sequence[bytes], view: View) -> Changes:
    """Read what follows a script's reply.

    Raises:
        Malformed: It is not what `changes.lua` says.
    """
    changes = Changes(primary)
    at = 2
    while at < len(told):
        kind = told[at]
        width = WIDTHS.get(kind)
        if width is None or at + width >= len(told) + (width == 0):
            raise Malformed(f"node {primary} told a change of kind {kind!r}, which is not known")
        words = tuple(told[at : at + 1 + width])
        at += 1 + width
        if kind == b"p":
            changes.notices.append((words[1], words[2]))
            continue
        if kind == b"u":
            changes.handed.append(words[1:])
            continue
        task_id = words[2] if kind == b"b" else words[1]
        record = words[2] if kind == b"w" else words[3] if kind == b"h" else b""
        slot = int(record[_SLOT], 16) if record else _slot(task_id, view)
        changes.entries.append(Entry(words, task_id, slot))
    return changes


def _slot(task_id: bytes, view: View) -> int:
    return slot_of(routing_of(task_id.decode(errors="backslashreplace")), view.slots)
