"""What operators set for a queue, as its register holds it."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

from taskmesh.consensus.registers import Change, Delete, Keep, Verdict, Versioned, Write
from taskmesh.errors import Malformed, NewerFormat

#: What the registers of queues begin with.
REGISTERS: Final = "queue/"
FORMAT: Final = 1


class QueueSetting(msgspec.Struct, frozen=True, omit_defaults=True):
    """One queue's settings, as a map: fields that this version does not know are passed over.

    Attributes:
        paused: Whether nothing of it is begun.
        format: Of this struct.
    """

    paused: bool = False
    format: int = FORMAT


#: Of a queue that nobody set anything for.
PLAIN: Final = QueueSetting()
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(QueueSetting).decode


def queue_register(queue: str) -> str:
    """Return the name of a queue's register."""
    return REGISTERS + queue


def unpack_queue(content: bytes | None) -> QueueSetting:
    """Return what a register says.

    Raises:
        NewerFormat: It was written by a newer TaskMesh.
        Malformed: It says nothing of a queue.
    """
    if content is None:
        return PLAIN
    try:
        setting = _decode(content)
    except msgspec.DecodeError as error:
        raise Malformed(f"the settings of a queue cannot be read: {error}") from error
    if setting.format > FORMAT:
        raise NewerFormat(
            f"the settings of a queue are of format {setting.format}; this TaskMesh knows {FORMAT}: upgrade it"
        )
    return setting


def paused_as(paused: bool) -> Change:  # noqa: FBT001 - as the register has it
    """Return the change that pauses a queue, or lets it go on."""

    def change(found: Versioned) -> Verdict:
        old = unpack_queue(found.content)
        new = replace(old, paused=paused)
        if new == old:
            return Keep()
        return Delete() if new == PLAIN else Write(_encode(new))

    return change
