"""The history of a message's attempts: it travels inside the signed outcome, and is bounded."""

from __future__ import annotations

from typing import Final

from taskmesh.codec.outcome import ErrorInfo, Outcome, PastAttempt, decode_outcome
from taskmesh.codec.signing import Signer
from taskmesh.core.record import Record
from taskmesh.core.state import FINAL, State
from taskmesh.errors import Malformed, TrustError

#: Of more attempts than these two together the ones between are left out.
FIRST_KEPT: Final = 3
LAST_KEPT: Final = 7
#: Characters of an error's text and of its traceback; of the latter the end, which says where.
TEXT_CHARS_MAX: Final = 500
TRACEBACK_CHARS_MAX: Final = 2000


def shortened(info: ErrorInfo) -> ErrorInfo:
    """Return what a history keeps of an error: facts only, and no more than some lines."""
    text, trace = info.text, info.traceback
    if len(text) > TEXT_CHARS_MAX:
        text = text[: TEXT_CHARS_MAX - 1] + "…"
    if len(trace) > TRACEBACK_CHARS_MAX:
        trace = "…" + trace[1 - TRACEBACK_CHARS_MAX :]
    return ErrorInfo(info.module, info.qualname, text, trace)


def history_with(outcome: Outcome) -> tuple[PastAttempt, ...]:
    """Return the attempts before an outcome and the one that it ended, without those between many."""
    error = shortened(outcome.error) if outcome.error is not None else None
    history = (
        *outcome.attempts,
        PastAttempt(
            outcome.attempt, outcome.worker, outcome.started_ms, outcome.finished_ms, error, outcome.trace
        ),
    )
    if len(history) > FIRST_KEPT + LAST_KEPT:
        history = history[:FIRST_KEPT] + history[-LAST_KEPT:]
    return history


def open_history(wire: bytes, signer: Signer, *, expect_id: str) -> Outcome:
    """Return what the worker of the last attempt signed about it and about those before.

    Args:
        wire: The outcome part of a record that is not final.
        signer: A signer of kind "result".
        expect_id: Id of the message.

    Raises:
        TrustError: It must not be used.
    """
    before = decode_outcome(wire, signer, expect_id=expect_id)
    if before.state != State.RETRY:
        raise Malformed(
            f"the record of {expect_id}, which has not ended, holds an outcome, {before.state}: somebody changed it"
        )
    return before


def attempts_so_far(
    found: Record | Malformed | None, signer: Signer, task_id: str
) -> tuple[PastAttempt, ...]:
    """Return the attempts of a message that somebody else than a task ends.

    Those that cannot be verified are left out: that it ends, and how, matters more than what was before.
    """
    if not isinstance(found, Record) or found.state in FINAL or not found.outcome:
        return ()
    try:
        return history_with(open_history(found.outcome, signer, expect_id=task_id))
    except TrustError:
        return ()
