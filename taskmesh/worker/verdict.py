"""How a message goes on whose task raised: it fails, runs again, waits, is set aside, or has ended after all."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from taskmesh.codec.attempts import shortened
from taskmesh.codec.envelope import encode_envelope
from taskmesh.codec.outcome import ErrorInfo, Outcome, encode_outcome
from taskmesh.codec.pickling import encode_call, encode_error
from taskmesh.codec.signing import Signer
from taskmesh.core.context import Terminated
from taskmesh.core.retrier import Retrier, check_ahead, check_line, exceeded
from taskmesh.core.state import STATE_OF, State
from taskmesh.errors import (
    Ignore,
    NotPicklable,
    PayloadTooLarge,
    Reject,
    Retry,
    Snooze,
    TimeLimitExceeded,
    Verdict,
    check_seconds,
)
from taskmesh.queue.commit import REQUEUED, SNOOZED, retried
from taskmesh.worker.job import Job

log = logging.getLogger("taskmesh.worker")

SUCCESS: Final = b"K"
FAILURE: Final = b"F"
DEAD: Final = b"D"
RETRY: Final = b"Y"
REVOKED: Final = b"V"

#: The letters that stand for no state themselves.
_GOES_ON: Final = {REQUEUED: State.PENDING, SNOOZED: State.SCHEDULED}

#: The letter of a message's new state, and its signed outcome, or what the letter wants in its place: see `commit.lua`.
Ended: TypeAlias = tuple[bytes, bytes]


def _tell_failed(job: Job, info: ErrorInfo, error: BaseException) -> None:
    """Log that a task failed, with the traceback as logging has one: also where a formatter puts it in a field."""
    if not log.isEnabledFor(logging.ERROR):
        return
    file, line, function, _ = log.findCaller()
    facts = job.task_id, job.name, info.type_name, info.text
    raised = type(error), error, error.__traceback__
    record = log.makeRecord(
        log.name, logging.ERROR, file, line, "task %s (%s) failed: %s: %s", facts, raised, function
    )
    record.exc_text = info.traceback or None  # cut, and made with care, where the error itself is neither
    log.handle(record)


class NoThread(Exception):
    """The machine gives this process no thread for a message, which has not begun."""


class Judge:
    """Says how messages go on, and signs it."""

    def __init__(
        self,
        retrier: Retrier,
        *,
        messages: Signer,
        results: Signer,
        now_ms: Callable[[], int],
        worker: str,
        max_message_size: int,
    ) -> None:
        """Prepare.

        Args:
            retrier: Says whether and when messages are tried again.
            messages: Signs envelopes with new arguments.
            results: Signs outcomes and histories.
            now_ms: The node's clock.
            worker: Name of the worker.
            max_message_size: Bytes of arguments.
        """
        self._retrier = retrier
        self._messages = messages
        self._results = results
        self._now_ms = now_ms
        self._worker = worker
        self._max_message_size = max_message_size

    def raised(self, job: Job, error: BaseException, sender: str | None = None) -> Ended:
        """Return how a message goes on whose task raised.

        Args:
            job: The message.
            error: What was raised: of the task's own making, so whatever is asked of it may raise as well.
            sender: Who had called the run off, if anybody.
        """
        try:
            if sender is not None:
                return self._called_off(job, sender, error)
            return self._by_error(job, error)
        except Terminated:
            raise  # this process ends, and another says how the message has ended
        except BaseException as wrong:  # noqa: BLE001 - that fails its message, not the process
            return self.failed(job, wrong)

    def _by_error(self, job: Job, error: BaseException) -> Ended:
        if isinstance(error, Verdict):
            return self._verdict(job, error)
        if isinstance(error, TimeLimitExceeded) and getattr(error, "task_id", "") == job.task_id:
            return self.failed(job, error)  # its own is not tried again
        if job.policy.autoretry_for and job.policy.asks_for(error):
            due_ms = self._retrier.due_ms(job)
            if due_ms is not None:
                return self._tried_again(job, due_ms, error)
        return self.failed(job, error)

    def _called_off(self, job: Job, sender: str, error: BaseException) -> Ended:
        """Return how a message ended whose run was called off: however it took that, it is not tried again."""
        log.info(
            "task %s (%s) was revoked by %s while it ran, and ended by %r",
            job.task_id,
            job.name,
            sender,
            error,
        )
        return REVOKED, self.outcome(job, "REVOKED", reason=f"while it ran, by {sender}")

    def refused(self, job: Job, reason: str) -> Ended:
        """Return how a message ended that must not run here."""
        log.error("task %s (%s) becomes a dead letter: %s", job.task_id, job.name, reason)
        return DEAD, self.outcome(job, "DEAD", reason=reason)

    def failed(self, job: Job, error: BaseException) -> Ended:
        """Return how a message ended that is not tried again."""
        info = encode_error(error)
        if isinstance(error, (NotPicklable, PayloadTooLarge)):
            log.error("task %s (%s) failed: %s", job.task_id, job.name, error)
        elif isinstance(error, job.policy.throws):
            log.info("task %s (%s) raised what it may raise: %r", job.task_id, job.name, error)
        else:
            _tell_failed(job, info, error)
        return FAILURE, self.outcome(job, "FAILURE", error=info)

    def outcome(
        self,
        job: Job,
        state: str,
        value: bytes | None = None,
        encoding: int = 0,
        error: ErrorInfo | None = None,
        reason: str = "",
    ) -> bytes:
        """Return the signed outcome of an attempt."""
        return encode_outcome(
            Outcome(
                job.task_id,
                state,
                job.token,
                value,
                encoding,
                error,
                self._now_ms(),
                job.started_ms,
                self._worker,
                job.attempt,
                reason,
                b"",
                job.earlier,
                job.trace,
            ),
            self._results,
        )

    # -- what the task asked for --------------------------------------------------

    def _verdict(self, job: Job, verdict: Verdict) -> Ended:
        if isinstance(verdict, Retry):
            return self._retry(job, verdict)
        if isinstance(verdict, Snooze):
            # a class derived from it may have left out its __init__
            seconds = check_seconds("Snooze: seconds", getattr(verdict, "seconds", None))
            log.info("task %s (%s) waits for %.3g s", job.task_id, job.name, seconds)
            return SNOOZED, b"%d" % (self._now_ms() + math.ceil(seconds * 1000))
        if isinstance(verdict, Ignore):
            return SUCCESS, self.outcome(job, "SUCCESS")
        if isinstance(verdict, Reject):
            return self._rejected(job, verdict)
        return self.failed(job, verdict)

    def _rejected(self, job: Job, verdict: Reject) -> Ended:
        if verdict.requeue:
            log.info("task %s (%s) goes back in line: %s", job.task_id, job.name, verdict.reason)
            return REQUEUED, b""
        log.error("task %s (%s) becomes a dead letter: %s", job.task_id, job.name, verdict.reason)
        return DEAD, self.outcome(job, "DEAD", error=_cause(verdict), reason=f"rejected: {verdict.reason}")

    def _retry(self, job: Job, verdict: Retry) -> Ended:
        # one that the task made by itself leaves the time to the policy
        due_ms = verdict.due_ms
        if due_ms is not None:
            check_ahead("Retry: due_ms", due_ms, due_ms, self._now_ms())
        else:
            due_ms = self._retrier.due_ms(job)
        if due_ms is None:
            return self.failed(job, verdict.exc or exceeded(job))
        check_line(verdict.queue, verdict.priority)
        try:
            envelope = self._changed(job, verdict)
        except (NotPicklable, PayloadTooLarge) as error:
            return self.failed(job, error)
        return self._tried_again(
            job, due_ms, verdict.exc, envelope, queue=verdict.queue or "", priority=verdict.priority
        )

    # -- what comes of it ---------------------------------------------------------

    def _tried_again(
        self,
        job: Job,
        due_ms: int,
        error: BaseException | None,
        envelope: bytes = b"",
        *,
        queue: str = "",
        priority: int | None = None,
    ) -> Ended:
        info = shortened(encode_error(error)) if error is not None else None
        log.info(
            "task %s (%s) will be tried again in %.3g s, after attempt %d: %s",
            job.task_id,
            job.name,
            max(0, due_ms - self._now_ms()) / 1000,
            job.attempt,
            f"{info.type_name}: {info.text}" if info is not None else "it asked for it",
        )
        history = self.outcome(job, "RETRY", error=info)
        return RETRY, retried(due_ms, history, envelope, queue=queue, priority=priority)

    def _changed(self, job: Job, verdict: Retry) -> bytes:
        """Return the message's envelope with other arguments, or for another queue; empty if it stays as it is.

        Raises:
            NotPicklable, PayloadTooLarge: They cannot be sent.
        """
        envelope = job.envelope
        if verdict.call is not None:
            encoding, body, clear_size = encode_call(*verdict.call, max_size=self._max_message_size)
            envelope = msgspec.structs.replace(envelope, body=body, encoding=encoding, clear_size=clear_size)
        if verdict.queue is not None:
            envelope = msgspec.structs.replace(envelope, queue=verdict.queue)
        return encode_envelope(envelope, self._messages) if envelope is not job.envelope else b""


def _cause(verdict: Reject) -> ErrorInfo | None:
    """Return the error because of which a task rejects its message, if that is known."""
    cause = verdict.__cause__ or verdict.__context__
    return encode_error(cause) if cause is not None else None


def state_after(ended: Ended) -> State:
    """Return the state to which a run led its message."""
    letter = ended[0]
    return _GOES_ON.get(letter) or STATE_OF[letter[0]]
