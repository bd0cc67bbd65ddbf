"""What operators set for a task, as its register holds it."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

from taskmesh.consensus.registers import Change
from taskmesh.coordination.setting import Setting

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


_SETTING: Final = Setting(TaskSetting, "the settings of a task", FORMAT)
unpack_task = _SETTING.unpack


def limited_to(rate_limit: str) -> Change:
    """Return the change that gives a task a limit; an empty text takes it away."""
    return _SETTING.changed(lambda old: replace(old, rate_limit=rate_limit))
