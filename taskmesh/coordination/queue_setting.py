"""What operators set for a queue, as its register holds it."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

from taskmesh.consensus.registers import Change
from taskmesh.coordination.setting import Setting

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


_SETTING: Final = Setting(QueueSetting, "the settings of a queue", FORMAT)
unpack_queue = _SETTING.unpack


def paused_as(paused: bool) -> Change:  # noqa: FBT001 - as the register has it
    """Return the change that pauses a queue, or lets it go on."""
    return _SETTING.changed(lambda old: replace(old, paused=paused))


def weighing(weight: int) -> Change:
    """Return the change that gives a queue a weight; 0 takes it away."""
    return _SETTING.changed(lambda old: replace(old, weight=weight))
