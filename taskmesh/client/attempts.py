"""The attempts of a message, as its caller sees them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from taskmesh.client.result import moment
from taskmesh.codec.outcome import ErrorInfo, Outcome, PastAttempt


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to run a message.

    Attributes:
        number: Which, from 1.
        worker: Name of the worker that made it.
        started_at: When it began.
        finished_at: When it ended.
        error: `module.qualname` of what it raised; None if it raised nothing.
        text: The error's text, which may be cut.
        traceback: The end of the error's traceback.
    """

    number: int
    worker: str
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None = None
    text: str = ""
    traceback: str = ""


def attempts_of(outcome: Outcome) -> list[Attempt]:
    """Return the attempts of a message, oldest first. Of very many the ones between are missing."""
    found = [_attempt(past, past.number, past.error) for past in outcome.attempts]
    if outcome.attempt and outcome.started_ms:
        found.append(_attempt(outcome, outcome.attempt, outcome.error))
    return found


def _attempt(of: PastAttempt | Outcome, number: int, error: ErrorInfo | None) -> Attempt:
    started_at, finished_at = moment(of.started_ms), moment(of.finished_ms)
    if error is None:
        return Attempt(number, of.worker, started_at, finished_at)
    return Attempt(number, of.worker, started_at, finished_at, error.type_name, error.text, error.traceback)
