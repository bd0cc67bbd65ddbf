"""The outcome: how a message ended, signed by the worker that decided it."""

from __future__ import annotations

from typing import Final

import msgspec

from taskmesh.codec.signing import Signer
from taskmesh.errors import Malformed

RAW_BYTES_MAX: Final = 64 * 1024


class ErrorInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An exception as plain facts, and pickled where it can be.

    Attributes:
        module: Module of its class.
        qualname: Qualified name of its class.
        text: `str()` of it.
        traceback: Formatted traceback, causes included.
        pickled: The exception itself, or None.
    """

    module: str
    qualname: str
    text: str = ""
    traceback: str = ""
    pickled: bytes | None = None

    @property
    def type_name(self) -> str:
        """`module.qualname`, without the module for built-in classes."""
        return self.qualname if self.module == "builtins" else f"{self.module}.{self.qualname}"


class PastAttempt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One attempt that was not the last.

    Attributes:
        number: Which, from 1.
        worker: Name of the worker.
        started_ms: When it began, Unix time.
        finished_ms: When it ended.
        error: What it raised, in short; None if it asked to be tried again without an error.
        trace: `traceparent` of the span in which it ran; empty if nobody traced it.
    """

    number: int
    worker: str = ""
    started_ms: int = 0
    finished_ms: int = 0
    error: ErrorInfo | None = None
    trace: str = ""


class Outcome(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How one message ended. On the wire it is an array in this order: new fields go at the end.

    Attributes:
        id: Id of the message.
        state: Name of its final state, or RETRY.
        token: The claim token under which it was decided; "" when no claim was needed.
        value: What the task returned, as made by `encode_value`.
        encoding: How `value` was made.
        error: What the task raised.
        finished_ms: When it ended, Unix time.
        started_ms: When this attempt began; 0 if it never did.
        worker: Name of the worker, or of who decided.
        attempt: Number of the attempt, from 1; 0 if none began.
        reason: Why, in words, where the state alone does not say.
        raw: The bytes that could not be accepted, at most 64 KiB of them.
        attempts: Those before this one, oldest first; of many, the first and the last.
        trace: `traceparent` of the span in which this one ran; empty if nobody traced it.
    """

    id: str
    state: str
    token: str = ""
    value: bytes | None = None
    encoding: int = 0
    error: ErrorInfo | None = None
    finished_ms: int = 0
    started_ms: int = 0
    worker: str = ""
    attempt: int = 0
    reason: str = ""
    raw: bytes = b""
    attempts: tuple[PastAttempt, ...] = ()
    trace: str = ""


def expired_outcome(
    task_id: str, token: str, now_ms: int, worker: str, attempts: tuple[PastAttempt, ...] = ()
) -> Outcome:
    """Return the outcome of a message that was not begun in time.

    Args:
        task_id: Its id.
        token: Of the claim that found so; empty without one.
        now_ms: The node's time.
        worker: Who found so.
        attempts: Those that there were.
    """
    return Outcome(task_id, "EXPIRED", token, finished_ms=now_ms, worker=worker, attempts=attempts)


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Outcome).decode


def encode_outcome(outcome: Outcome, signer: Signer) -> bytes:
    """Return the signed wire of `outcome`; `signer` is of kind "result". `raw` is cut to 64 KiB."""
    if len(outcome.raw) > RAW_BYTES_MAX:
        outcome = msgspec.structs.replace(outcome, raw=outcome.raw[:RAW_BYTES_MAX])
    try:
        return signer.sign(_encode(outcome))
    except UnicodeEncodeError:
        # A reason often quotes other people's texts; a lone surrogate in one must not cost the outcome.
        reason = outcome.reason.encode("utf-8", "backslashreplace").decode()
        return signer.sign(_encode(msgspec.structs.replace(outcome, reason=reason)))


def decode_outcome(
    wire: bytes,
    signer: Signer,
    *,
    expect_id: str | None = None,
    max_size: int | None = None,
) -> Outcome:
    """Return the outcome in `wire`; its value and its error stay pickled.

    Args:
        wire: What `encode_outcome` made.
        signer: A signer of kind "result".
        expect_id: Id of the message that was asked for: the outcome of another one is refused.
        max_size: Longest wire to look at, in bytes; default: any.

    Raises:
        TrustError: It must not be used; the message says why.
    """
    if max_size is not None and len(wire) > max_size:
        raise Malformed(
            f"a result of {len(wire)} bytes is larger than the {max_size} bytes that are accepted here",
            size=len(wire),
            limit=max_size,
        )
    payload = signer.verify(wire)
    try:
        outcome = _decode(payload)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"a signed result of {len(wire)} bytes cannot be read: {error}") from error
    if expect_id is not None and outcome.id != expect_id:
        raise Malformed(f"message {expect_id!r} was given the result of {outcome.id!r}")
    return outcome
