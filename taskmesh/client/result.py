"""AsyncResult: a handle on one message, and the way to its outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from taskmesh.codec.outcome import Outcome, encode_outcome
from taskmesh.codec.pickling import decode_error, decode_value
from taskmesh.core.ids import created_ms_of
from taskmesh.core.state import State
from taskmesh.errors import (
    NodeFault,
    ResultExpired,
    TaskDead,
    TaskExpired,
    TaskNotFound,
    TaskRevoked,
    TaskTimeout,
)
from taskmesh.queue.manage import revoke
from taskmesh.results.read import forget, read

if TYPE_CHECKING:
    from taskmesh.client.portal import Portal

R_co = TypeVar("R_co", covariant=True)


class AsyncResult(Generic[R_co]):
    """A handle on one message. Cheap to hold and to drop; many may wait at once.

    Attributes:
        id: The message's id. `mesh.result(id)` gives a handle on it in any process.
    """

    __slots__ = (
        "__weakref__",
        "_portal",
        "expired",
        "id",
        "last_state",
        "missing",
        "outcome",
        "round",
        "sent_here",
        "task",
        "watchers",
    )

    def __init__(
        self, portal: Portal, task_id: str, task: str = "", *, round_: int = 0, sent_here: bool = False
    ) -> None:
        """Make a handle; `mesh.result(id)` and the sending calls do."""
        self._portal = portal
        self.id = task_id
        self.task = task
        self.round = round_
        self.sent_here = sent_here
        self.outcome: Outcome | None = None
        self.last_state: State | None = None
        self.missing = False
        self.expired = False
        self.watchers: tuple[Callable[[AsyncResult[Any]], None], ...] = ()

    def set_outcome(self, outcome: Outcome) -> None:
        """Put the outcome in, and tell those who watch."""
        self.outcome = outcome
        self.missing = False
        for watcher in self.watchers:
            watcher(self)

    def set_missing(self, *, expired: bool) -> None:
        """Note that there is no outcome to be had, and tell those who watch."""
        self.missing = True
        self.expired = self.expired or expired
        for watcher in self.watchers:
            watcher(self)

    def __repr__(self) -> str:
        """Show id, task and what is known of the state without asking."""
        state = self.outcome.state if self.outcome is not None else (self.last_state or "not read yet")
        return f"<AsyncResult {self.id} {self.task or '(task not known)'} {state}>"

    @property
    def task_id(self) -> str:
        """The same as `id`."""
        return self.id

    # -- the outcome --------------------------------------------------------------

    def get(self, timeout: float | None = None, *, propagate: bool = True) -> R_co:
        """Wait for the outcome; return the task's value or raise what it raised.

        Args:
            timeout: Seconds to wait at most; None for ever, 0 to look only.
            propagate: False returns the exception instead of raising it.

        Raises:
            TaskTimeout: Not finished in time (a `TimeoutError`). The task goes on.
            TaskRevoked, TaskExpired, TaskDead: It ended without a value.
            ResultExpired, TaskNotFound: There is no outcome to be had.
            RemoteError: The task's own exception cannot be rebuilt here.
            Exception: What the task raised, with the worker's traceback as a note.
        """
        outcome = self.outcome
        if outcome is None:
            outcome = self._wait(timeout)
        return self._value(outcome, propagate=propagate)

    def _wait(self, timeout: float | None) -> Outcome:
        self._portal.inbox.waiter((self,)).wait(timeout, self.is_settled)
        if self.outcome is not None:
            return self.outcome
        if self.missing:
            raise self._absence()
        raise TaskTimeout(
            f"task {self.id} ({self.task or 'name not known'}) was {self.last_state or 'not finished'} when the "
            f"{timeout:g} s to wait for it were over; it goes on, and get() can be called again",
            task_id=self.id,
        )

    def is_settled(self) -> bool:
        """Tell, without asking the node, whether it is known how this ended."""
        return self.outcome is not None or self.missing

    def _absence(self) -> ResultExpired | TaskNotFound:
        created_ms = created_ms_of(self.id)
        age_s = (time.time() * 1000 - created_ms) / 1000 if created_ms is not None else 0.0
        if self.expired or self.sent_here or age_s > self._portal.result_expires_s:
            return ResultExpired(
                f"the result of {self.id} has been removed: results are kept for result_expires "
                f"({self._portal.result_expires_s:g} s) after they finish, or until forget()",
                task_id=self.id,
            )
        return TaskNotFound(
            f"nothing is known of task {self.id} in mesh {self._portal.link.mesh!r}: it was never sent there, or it "
            "finished so long ago that its result expired",
            task_id=self.id,
        )

    def _value(self, outcome: Outcome, *, propagate: bool) -> R_co:
        if outcome.state == "SUCCESS":
            if outcome.value is None:
                return None  # type: ignore[return-value]
            value: R_co = decode_value(outcome.encoding, outcome.value, max_size=self._portal.max_result_size)
            return value
        error = self._error(outcome)
        if propagate:
            raise error
        return error  # type: ignore[return-value]

    def _error(self, outcome: Outcome) -> Exception:
        if outcome.state == "FAILURE" and outcome.error is not None:
            return decode_error(outcome.error, worker=outcome.worker, task_id=self.id)
        why = f": {outcome.reason}" if outcome.reason else ""
        if outcome.state == "REVOKED":
            return TaskRevoked(f"task {self.id} was revoked{why}", task_id=self.id)
        if outcome.state == "EXPIRED":
            return TaskExpired(f"task {self.id} expired before it began{why}", task_id=self.id)
        return TaskDead(
            f"task {self.id} was given up{why}; `taskmesh dead show {self.id}` tells its story",
            task_id=self.id,
            reason=outcome.reason,
        )

    # -- looking ------------------------------------------------------------------

    def _look(self) -> None:
        if self.outcome is None:
            link = self._portal.link
            (found,) = link.run(read(link.session, [self.id]))
            self.missing = False
            self._portal.inbox.settle(self, found)

    @property
    def state(self) -> str:
        """The state now: SCHEDULED PENDING STARTED RETRY, then SUCCESS FAILURE REVOKED EXPIRED DEAD.

        Raises:
            TaskNotFound, ResultExpired: Nothing is known of the id (any more).
        """
        self._look()
        if self.outcome is not None:
            return self.outcome.state
        if self.missing and not self.expired:
            raise self._absence()
        return str(self.last_state)

    @property
    def status(self) -> str:
        """The same as `state`."""
        return self.state

    def ready(self) -> bool:
        """Tell whether it has ended, in whatever way.

        Raises:
            TaskNotFound, ResultExpired: Nothing is known of the id (any more).
        """
        return State(self.state).value in _FINAL_NAMES

    def successful(self) -> bool:
        """Tell whether it ended with a value."""
        return self.state == "SUCCESS"

    def failed(self) -> bool:
        """Tell whether it ended without one: FAILURE or DEAD."""
        return self.state in ("FAILURE", "DEAD")

    @property
    def traceback(self) -> str | None:
        """The worker's traceback if the task failed, else None."""
        self._look()
        if self.outcome is not None and self.outcome.error is not None:
            return self.outcome.error.traceback
        return None

    # -- acting -------------------------------------------------------------------

    def forget(self) -> None:
        """Have the outcome dropped now. Nobody can read it any more; the id stays known for ten minutes."""
        link = self._portal.link
        link.run(forget(link.session, [self.id]))
        self.outcome = None
        self.missing = self.expired = True

    def revoke(self) -> bool:
        """Revoke the message if it still waits, and tell whether it is revoked.

        One that already runs is only flagged, and one that has ended is left alone: both return False.

        Raises:
            TaskNotFound: Nothing is known of the id.
        """
        link = self._portal.link.open()
        outcome = encode_outcome(
            Outcome(self.id, "REVOKED", finished_ms=link.clock.now_ms(), worker=self._portal.client_name),
            link.results,
        )
        verdict = link.run(revoke(link.session, [(self.id.encode(), b"", outcome)]))
        if verdict == b"-":
            raise self._absence()
        if verdict == b"!":
            raise NodeFault("a revoke without a version was refused for its version", text="!")
        return verdict in (b"o", b"V")

    def __await__(self) -> Generator[Any, None, R_co]:
        """Wait for the outcome in an event loop; same values and errors as `get`."""
        return self._portal.wait_async(self).__await__()


_FINAL_NAMES = frozenset({"SUCCESS", "FAILURE", "REVOKED", "EXPIRED", "DEAD"})
