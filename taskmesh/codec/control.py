"""Control messages: revoke, pause, reload, …, signed and good for a short time only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from taskmesh.codec.signing import Signer
from taskmesh.errors import Malformed, NotPicklable

WIRE_BYTES_MAX: Final = 1024 * 1024

#: Orders a worker to end runs: `runs` (each id and claim token), `signal` (one of these).
TERMINATE: Final = "terminate"
TERMINATE_SIGNALS: Final = ("TERM", "KILL", "INT", "QUIT", "HUP", "ABRT", "USR1", "USR2")


class Control(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One order to workers. On the wire it is an array in this order: new fields go at the end.

    Attributes:
        id: Made by the sender; a receiver acts on each id once.
        action: What to do.
        target: Who should do it: a worker, or "" for all that read it.
        arguments: Of the action; plain msgpack values.
        created_ms: When it was sent, Unix time.
        sender: Who sent it.
    """

    id: str
    action: str
    target: str = ""
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    created_ms: int = 0
    sender: str = ""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Control).decode


def encode_control(control: Control, signer: Signer) -> bytes:
    """Return the signed wire of `control`; `signer` is of kind "control".

    Raises:
        NotPicklable: `arguments` hold something that is not plain data.
    """
    try:
        return signer.sign(_encode(control))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise NotPicklable(
            f"the arguments of control message {control.action!r} must be plain data: {error}",
        ) from error


def decode_control(
    wire: bytes, signer: Signer, max_age_ms: int, now_ms: int, max_age_ms_of: Mapping[str, int] | None = None
) -> Control:
    """Return the control message in `wire`.

    Args:
        wire: What `encode_control` made.
        signer: A signer of kind "control".
        max_age_ms: How far `created_ms` may lie from `now_ms`, either way.
        now_ms: Unix time. An old message, recorded and played again, must not act.
        max_age_ms_of: The same for some actions, in place of `max_age_ms`.

    Raises:
        TrustError: It must not be obeyed; the message says why.
    """
    if len(wire) > WIRE_BYTES_MAX:
        raise Malformed(f"a control message of {len(wire)} bytes is larger than {WIRE_BYTES_MAX} bytes")
    payload = signer.verify(wire)
    try:
        control = _decode(payload)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"a signed control message of {len(wire)} bytes cannot be read: {error}") from error
    age_ms = now_ms - control.created_ms
    max_age_ms = (max_age_ms_of or {}).get(control.action, max_age_ms)
    if abs(age_ms) > max_age_ms:
        raise Malformed(
            f"control message {control.action!r} from {control.sender!r} is {age_ms / 1000:.1f} s old, "
            f"and {max_age_ms / 1000:.1f} s are allowed; if it is no replay, compare both machines' clocks",
        )
    return control
