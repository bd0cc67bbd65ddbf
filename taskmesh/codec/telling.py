"""A telling: what a running task tells of itself, signed by the worker that runs it."""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from taskmesh.codec.signing import Signer
from taskmesh.core.progress import Progress
from taskmesh.core.state import State
from taskmesh.errors import Malformed, NotPicklable, PayloadTooLarge, UsageError

#: What a task may tell in all: note and meta.
TELLING_BYTES_MAX: Final = 8192
#: What a reader accepts: the frame comes to less than 1 KiB.
WIRE_BYTES_MAX: Final = TELLING_BYTES_MAX + 1024
LABEL_LENGTH_MAX: Final = 100
_NAMES: Final = frozenset(state.value for state in State)


class Telling(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a running task tells. On the wire it is an array in this order: new fields go at the end.

    Attributes:
        id: Id of the message.
        token: Of the claim under which it runs; it means nothing beyond that.
        done: How much is done; None if it did not say.
        total: How much there is to do; None if it did not say.
        note: What it is at, in words.
        label: What to show as its state; "" for the state itself.
        meta: Its own facts, packed; empty for none.
    """

    id: str
    token: str
    done: float | int | None = None
    total: float | int | None = None
    note: str = ""
    label: str = ""
    meta: bytes = b""

    @property
    def progress(self) -> Progress | None:
        """How far it is, if it told that."""
        return None if self.done is None else Progress(self.done, self.total, self.note)

    def facts(self) -> Any:
        """Return its own facts; if it told none, how far it is as a dict; else None."""
        if self.meta:
            return _decode_meta(self.meta)
        if self.done is None:
            return None
        return {"done": self.done, "total": self.total, "note": self.note}


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Telling).decode
_decode_meta: Final = msgspec.msgpack.Decoder().decode


def with_progress(telling: Telling, done: object, total: object, note: object) -> Telling:
    """Return a telling with how far a task is.

    Raises:
        UsageError: A number is none, or the note no text.
        PayloadTooLarge: The note is too long.
    """
    for name, value in (("done", done), ("total", total)):
        if value is None and name == "total":
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise UsageError(f"report_progress({name}={value!r}): expected a number")
        if isinstance(value, int) and abs(value) >= 1 << 63:
            raise UsageError(f"report_progress({name}={value!r}): expected a number below 2**63")
    if note is not None and not isinstance(note, str):
        raise UsageError(f"report_progress(note={note!r}): expected a text")
    return _checked(msgspec.structs.replace(telling, done=done, total=total, note=note or ""))


def with_state(telling: Telling, label: object, meta: object) -> Telling:
    """Return a telling with a label to show as the state, and facts of the task's own; None leaves one as it is.

    Raises:
        UsageError: The label cannot be one.
        NotPicklable: The facts are no plain data.
        PayloadTooLarge: They are too large.
    """
    if label is not None:
        telling = msgspec.structs.replace(telling, label=_checked_label(label))
    if meta is not None:
        try:
            packed = _encode(meta)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise NotPicklable(
                f"update_state(meta=...) takes plain data, as msgpack knows it: {error}"
            ) from error
        telling = msgspec.structs.replace(telling, meta=packed)
    return _checked(telling)


def _checked_label(label: object) -> str:
    if not isinstance(label, str) or not 1 <= len(label) <= LABEL_LENGTH_MAX or not label.isprintable():
        raise UsageError(
            f"update_state(state={label!r}): expected a printable text of 1 to {LABEL_LENGTH_MAX} characters"
        )
    if label == State.STARTED.value:
        return ""
    if label in _NAMES:
        raise UsageError(
            f"update_state(state={label!r}): that is a state of every message, which follows from what happens to it; "
            "take a word of your own, such as 'PROGRESS'"
        )
    return label


def _checked(telling: Telling) -> Telling:
    try:
        size = len(telling.meta) + len(telling.note.encode())
    except UnicodeEncodeError as error:
        raise UsageError(f"report_progress(note={telling.note!r}): {error}") from error
    if size > TELLING_BYTES_MAX:
        raise PayloadTooLarge(
            f"a running task may tell {TELLING_BYTES_MAX} bytes of note and meta, and these are {size}; results are "
            "the place for more",
            size=size,
            limit=TELLING_BYTES_MAX,
        )
    return telling


def encode_telling(telling: Telling, signer: Signer) -> bytes:
    """Return the signed wire of a telling; `signer` is of kind "telling"."""
    return signer.sign(_encode(telling))


def decode_telling(wire: bytes, signer: Signer, *, expect_id: str, expect_token: str) -> Telling | None:
    """Return the telling in `wire`; None if it is of another run of the message.

    Args:
        wire: What `encode_telling` made.
        signer: A signer of kind "telling".
        expect_id: Id of the message.
        expect_token: Of the claim under which it runs.

    Raises:
        TrustError: It must not be used; the message says why.
    """
    if len(wire) > WIRE_BYTES_MAX:
        raise Malformed(f"a telling of {len(wire)} bytes is larger than {WIRE_BYTES_MAX} bytes")
    payload = signer.verify(wire)
    try:
        telling = _decode(payload)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"a signed telling of {len(wire)} bytes cannot be read: {error}") from error
    return telling if (telling.id, telling.token) == (expect_id, expect_token) else None
