"""What operators set for a task, as its register holds it."""

from __future__ import annotations

from typing import Final

import msgspec

from taskmesh.consensus.registers import Change, Delete, Keep, Verdict, Versioned, Write
from taskmesh.coordination.content import Content

#: What the registers of tasks begin with.
REGISTERS: Final = "rate/"
FORMAT: Final = 1


class TaskSetting(msgspec.Struct, frozen=True, omit_defaults=True):
    """One task's settings, as a map: fields that this version does not know are passed over.

    Attributes:
        rate_limit: How often it may start: a text such as `100/s`, `none`, or empty for what the code says.
        format: Of this struct.
    """

    rate_limit: str = ""
    format: int = FORMAT


#: Of a task that nobody set anything for.
PLAIN: Final = TaskSetting()
_CONTENT: Final = Content(TaskSetting, "the settings of a task", FORMAT)


def task_register(task: str) -> str:
    """Return the name of a task's register."""
    return REGISTERS + task


def unpack_task(content: bytes | None) -> TaskSetting:
    """Return what a register says.

    Raises:
        NewerFormat, Malformed: It cannot be read.
    """
    return PLAIN if content is None else _CONTENT.unpack(content)


def limited_to(rate_limit: str) -> Change:
    """Return the change that gives a task a limit; an empty text takes it away."""

    def change(found: Versioned) -> Verdict:
        old = unpack_task(found.content)
        new = msgspec.structs.replace(old, rate_limit=rate_limit)
        if new == old:
            return Keep()
        return Delete() if new == PLAIN else Write(_CONTENT.pack(new))

    return change
