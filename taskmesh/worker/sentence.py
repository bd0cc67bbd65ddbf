"""Why a supervisor ends a child that runs, and how the message that it ran ends by that."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from taskmesh.codec.outcome import Outcome, PastAttempt
from taskmesh.codec.pickling import encode_error
from taskmesh.core.state import LETTER, State
from taskmesh.errors import TimeLimitExceeded
from taskmesh.worker.page import Deadline


@dataclass(frozen=True, slots=True)
class Sentence:
    """What a child is ended for.

    Attributes:
        sequence: Of the claim.
        position: Of the message in it, from 1.
        state: In which the message ends.
        why: In words.
        limit_s: The hard limit that is over; 0 if it is not that.
        name: Of the message, as the page has it: by that it is found also where it was not claimed.
    """

    sequence: int
    position: int
    state: State
    why: str
    limit_s: float = 0.0
    name: bytes = b""

    @property
    def letter(self) -> bytes:
        """Of the state."""
        return LETTER[self.state]

    @property
    def told(self) -> str:
        """What a log says of the message."""
        if self.state is State.REVOKED:
            return f"was revoked {self.why}, and its process was ended for it"
        return self.why

    @property
    def level(self) -> int:
        """How loudly: what somebody asked for is no error."""
        return logging.INFO if self.state is State.REVOKED else logging.ERROR

    def outcome(
        self,
        task_id: str,
        token: str,
        *,
        finished_ms: int,
        worker: str,
        attempt: int,
        attempts: tuple[PastAttempt, ...],
    ) -> Outcome:
        """Return how the message ends.

        Args:
            task_id: Its id.
            token: Of the claim under which it ran.
            finished_ms: Now, on the node's clock.
            worker: Name of the worker.
            attempt: Number of the attempt that is ended.
            attempts: Those before it.
        """
        error = None
        if self.limit_s:
            error = encode_error(
                TimeLimitExceeded(f"task {task_id} {self.why}", task_id=task_id, limit_s=self.limit_s)
            )
        return Outcome(
            task_id,
            self.state.value,
            token,
            error=error,
            finished_ms=finished_ms,
            worker=worker,
            attempt=attempt,
            reason="" if error is not None else self.why,
            attempts=attempts,
        )


def terminated(sequence: int, position: int, signal: str, sender: str, name: bytes) -> Sentence:
    """Return the sentence of a run that was revoked with terminate.

    Args:
        sequence: Of its claim.
        position: Of the message in it.
        signal: Name of the signal by which its process is told.
        sender: Who revoked it.
        name: Of the message, as the page has it.
    """
    why = f"while it ran, by {sender}, with {signal}"
    return Sentence(sequence, position, State.REVOKED, why, name=name)


def overdue(deadline: Deadline) -> Sentence:
    """Return the sentence of a run beyond its hard limit."""
    why = f"ran longer than its time_limit of {deadline.limit_s:g} s, so its process was ended"
    return Sentence(deadline.sequence, deadline.position, State.FAILURE, why, deadline.limit_s, deadline.name)
