"""The envelope: one request to run a task, as it travels and as it rests in the record."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from taskmesh.codec.signing import Signer
from taskmesh.errors import Malformed, NotPicklable

WIRE_BYTES_MAX: Final = 64 * 1024 * 1024


class Envelope(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One message. On the wire it is an array in this order: new fields go at the end, with a default.

    Attributes:
        id: Id of the message.
        task: Name of the task, `module.qualname`.
        body: Pickled `(args, kwargs)`, as made by `encode_call`.
        encoding: How `body` was made: 0 pickle, 1 cloudpickle; 16 more when compressed.
        function: Hash of the function for a task sent by value, else "".
        queue: Name of the queue.
        headers: The user's own facts; plain msgpack values.
        created_ms: When it was sent, Unix time.
        expires_ms: Unix time after which it must not begin; 0 for never.
        result_ttl_s: How long its outcome is kept.
        ignore_result: Whether nobody will read the outcome's value.
        channel: Where the outcome is announced; "" for nowhere.
        sender: Who sent it.
        extras: TaskMesh's own facts: time limits, parent, retry_of, …
        clear_size: Length of `body` before compression.
    """

    id: str
    task: str
    body: bytes = b""
    encoding: int = 0
    function: str = ""
    queue: str = "default"
    headers: dict[str, Any] | None = None
    created_ms: int = 0
    expires_ms: int = 0
    result_ttl_s: int = 0
    ignore_result: bool = False
    channel: str = ""
    sender: str = ""
    extras: dict[str, Any] | None = None
    clear_size: int = 0


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Envelope).decode


def encode_envelope(envelope: Envelope, signer: Signer) -> bytes:
    """Return the signed wire of `envelope`; `signer` is of kind "message".

    Raises:
        NotPicklable: `headers` or `extras` hold something that is not plain data.
    """
    try:
        return signer.sign(_encode(envelope))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise NotPicklable(
            f"the headers of a message to task {envelope.task!r} must be plain data (None, booleans, numbers "
            f"of at most 64 bits, texts, bytes, lists and dicts of these): {error}",
        ) from error


def decode_envelope(
    wire: bytes,
    signer: Signer,
    *,
    expect_id: str | None = None,
    max_size: int = WIRE_BYTES_MAX,
) -> Envelope:
    """Return the envelope in `wire`; its body stays undecoded.

    Args:
        wire: What `encode_envelope` made.
        signer: A signer of kind "message".
        expect_id: Id of the record in which the wire was found: an envelope moved elsewhere is refused.
        max_size: Longest wire to look at, in bytes.

    Raises:
        TrustError: It must not be used; the message says why. `NewerFormat` may suit another build.
    """
    if len(wire) > max_size:
        raise Malformed(
            f"an envelope of {len(wire)} bytes is larger than the {max_size} bytes that are accepted here",
            size=len(wire),
            limit=max_size,
        )
    payload = signer.verify(wire)
    try:
        envelope = _decode(payload)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"a signed envelope of {len(wire)} bytes cannot be read: {error}") from error
    if expect_id is not None and envelope.id != expect_id:
        raise Malformed(f"the record of message {expect_id!r} holds the envelope of {envelope.id!r}")
    return envelope
