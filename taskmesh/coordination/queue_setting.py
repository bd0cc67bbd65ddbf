"""What operators set for a queue, as its register holds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec.structs import replace

from taskmesh.consensus.registers import Change, Delete, Keep, Verdict, Versioned, Write
from taskmesh.coordination.content import Content

#: What the registers of queues begin with.
REGISTERS: Final = "queue/"
FORMAT: Final = 1


class QueueSetting(msgspec.Struct, frozen=True, omit_defaults=True):
    """One queue's settings, as a map: fields that this version does not know are passed over.

    Attributes:
        paused: Whether nothing of it is begun.
        weight: Its share beside other queues; 0 for what workers say.
        format: Of this struct.
    """

    paused: bool = False
    weight: int = 0
    format: int = FORMAT


#: Of a queue that nobody set anything for.
PLAIN: Final = QueueSetting()
_CONTENT: Final = Content(QueueSetting, "the settings of a queue", FORMAT)


def queue_register(queue: str) -> str:
    """Return the name of a queue's register."""
    return REGISTERS + queue


def unpack_queue(content: bytes | None) -> QueueSetting:
    """Return what a register says.

    Raises:
        NewerFormat, Malformed: It cannot be read.
    """
    return PLAIN if content is None else _CONTENT.unpack(content)


def paused_as(paused: bool) -> Change:  # noqa: FBT001 - as the register has it
    """Return the change that pauses a queue, or lets it go on."""
    return _changed(lambda old: replace(old, paused=paused))


def weighing(weight: int) -> Change:
    """Return the change that gives a queue a weight; 0 takes it away."""
    return _changed(lambda old: replace(old, weight=weight))


def _changed(make: Callable[[QueueSetting], QueueSetting]) -> Change:
    def change(found: Versioned) -> Verdict:
        old = unpack_queue(found.content)
        new = make(old)
        if new == old:
            return Keep()
        return Delete() if new == PLAIN else Write(_CONTENT.pack(new))

    return change
