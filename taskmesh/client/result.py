"""AsyncResult: a handle on one message, and the way to its outcome."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, Never, TypeVar

from taskmesh.client.absence import absence
from taskmesh.client.hints import HintingResult, refuse_options_of_get
from taskmesh.client.timeout import read_timeout
from taskmesh.codec.outcome import Outcome
from taskmesh.codec.pickling import decode_error, decode_value
from taskmesh.core.state import FINAL, State
from taskmesh.errors import (
    InvariantBroken,
    NodeUnavailable,
    TaskDead,
    TaskExpired,
    TaskRevoked,
    TaskTimeout,
    TrustError,
)

if TYPE_CHECKING:
    from taskmesh.client.attempts import Attempt
    from taskmesh.client.batch import Batch
    from taskmesh.client.portal import Portal
    from taskmesh.codec.telling import Telling
    from taskmesh.core.progress import Progress

R_co = TypeVar("R_co", covariant=True)


#: Round of a handle whose outcome was made in this process: no node knows of it.
LOCAL = sys.maxsize
#: How long the last look of a caller whose time is over may take.
LAST_LOOK_S = 0.1
_FINAL_NAMES = frozenset(state.value for state in FINAL)
#: Watchers are added and removed under one lock for all: it is held for moments only.
_watching = threading.RLock()


def moment(ms: int) -> datetime | None:
    """Return a moment in UTC; None for 0, which stands for never."""
    return datetime.fromtimestamp(ms / 1000, UTC) if ms else None


class AsyncResult(HintingResult, Generic[R_co]):
    """A handle on one message. Cheap to hold and to drop; many may wait at once.

    Attributes:
        id: The message's id. `mesh.result(id)` gives a handle on it in any process.
        duplicate: Whether the call was not recorded, since another message with its key or its id stands for it: this
            is the handle on that one.
    """

    __slots__ = (
        "__weakref__",
        "_portal",
        "batch",
        "duplicate",
        "expired",
        "fault",
        "history",
        "id",
        "kept_s",
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
        self.duplicate = False
        self.outcome: Outcome | None = None
        self.history: Outcome | None = None
        self.last_state: State | None = None
        self.missing = False
        self.expired = False
        self.kept_s = 0
        self.fault: TrustError | InvariantBroken | None = None
        self.batch: Batch | None = None
        self.watchers: tuple[Callable[[AsyncResult[Any]], None], ...] = ()

    # -- how it learns of its end -------------------------------------------------

    def stand_for(self, first: str) -> None:
        """Become a handle on the message that stands for this one, which was not recorded."""
        self.id = first
        self.duplicate = True
        # another process may have sent it, and will hear of its outcome in our place
        self.round = 0

    def set_outcome(self, outcome: Outcome) -> None:
        """Put the outcome in, and tell those who watch."""
        self.outcome = outcome
        self.missing = False
        self._tell()

    def set_missing(self, *, expired: bool, kept_s: int = 0) -> None:
        """Note that there is no outcome to be had, and tell those who watch.

        Args:
            expired: Whether there was one.
            kept_s: For how long that was to be kept; 0 where nobody knows.
        """
        self.missing = True
        self.kept_s = kept_s
        self.expired = self.expired or expired
        self._tell()

    def set_fault(self, fault: TrustError | InvariantBroken) -> None:
        """Note that its record cannot be trusted, and tell those who watch."""
        self.fault = fault
        self._tell()

    def is_settled(self) -> bool:
        """Tell, without asking the node, whether it is known how this ended."""
        return self.outcome is not None or self.missing or self.fault is not None

    def watch(self, watcher: Callable[[AsyncResult[Any]], None]) -> None:
        """Have something called when this is settled; at once if it is. It may be called more than once."""
        with _watching:
            self.watchers = (*self.watchers, watcher)
        if self.is_settled():
            watcher(self)

    def unwatch(self, watcher: Callable[[AsyncResult[Any]], None]) -> None:
        """Take back a `watch`."""
        with _watching:
            self.watchers = tuple(other for other in self.watchers if other != watcher)

    def _tell(self) -> None:
        for watcher in self.watchers:
            watcher(self)

    def reopen(self) -> None:
        """Wait anew for what was asked for in vain: it may have been sent, or sent again, since."""
        if self.outcome is None and self.is_settled() and not self.expired and self.round != LOCAL:
            self.unsettle()

    def unsettle(self) -> None:
        """Forget what was not found: it may have been sent, or sent again, since."""
        self.missing = False
        self.fault = None
        self.round = 0

    # -- for people ---------------------------------------------------------------

    def __repr__(self) -> str:
        """Show id, task and what is known of the state without asking."""
        state = self.outcome.state if self.outcome is not None else (self.last_state or "not read yet")
        return f"<AsyncResult {self.id} {self.task or '(task not known)'} {state}>"

    def __reduce__(self) -> Any:
        """Refuse: a handle belongs to its process."""
        raise TypeError(
            "an AsyncResult cannot be pickled: send its id, and call mesh.result(id) in the other process"
        )

    @property
    def task_id(self) -> str:
        """The same as `id`."""
        return self.id

    # -- the outcome --------------------------------------------------------------

    def get(self, timeout: float | None = None, *, propagate: bool = True, **others: Never) -> R_co:
        """Wait for the outcome; return the task's value or raise what it raised.

        Args:
            timeout: Seconds to wait at most; None for ever; 0 to look only, which takes a second at most.
            propagate: False returns the exception instead of raising it.
            others: There are none: what Celery has beside these is refused with what to do instead.

        Raises:
            TaskTimeout: Not finished in time (a `TimeoutError`), or the node did not say so. The task goes on.
            TaskRevoked, TaskExpired, TaskDead: It ended without a value.
            ResultExpired, TaskNotFound: There is no outcome to be had.
            RemoteError: The task's own exception cannot be rebuilt here.
            UsageError: The timeout is not a number.
            NodeUnavailable: The node is gone for good, or will not have us (a wrong password).
            Exception: What the task raised, with the worker's traceback as a note.
        """
        if others:
            refuse_options_of_get(others)
        if timeout is not None:
            timeout = read_timeout(timeout)
        if self.outcome is None:
            self._wait(timeout)
        return self.conclude(propagate=propagate)

    def _wait(self, timeout: float | None) -> None:
        self.reopen()
        waiter = self._portal.inbox.waiter((self,))
        if waiter.wait(timeout, self.is_settled):
            return
        why: object = waiter.unreachable or (self._last_look() if timeout else None)
        if self.is_settled():
            return
        if timeout and not why and self.last_state is State.SCHEDULED:
            why = self._portal.put_aside(self.id, LAST_LOOK_S)
        raise TaskTimeout(
            f"task {self.id} ({self.task or 'name not known'}) was {self.last_state or 'not finished'} when "
            f"the {timeout:g} s to wait for it were over{f' ({why})' if why else ''}; it goes on, and get() can be "
            "called again",
            task_id=self.id,
        )

    def _last_look(self) -> NodeUnavailable | None:
        """Look once more, so that a caller whose time is over is told the state; return why that failed."""
        try:
            self._portal.inbox.look((self,), LAST_LOOK_S)
        except NodeUnavailable as error:
            return error
        return None

    def conclude(self, *, propagate: bool = True) -> R_co:
        """Return or raise what `get` does once `is_settled()`; asks nobody."""
        outcome = self.outcome
        if outcome is not None:
            return self._value(outcome, propagate=propagate)
        error = self.fault if self.fault is not None else absence(self, self._portal)
        if propagate:
            raise error
        return error  # type: ignore[return-value]

    def _value(self, outcome: Outcome, *, propagate: bool) -> R_co:
        if outcome.state == "SUCCESS":
            if outcome.value is None:
                return None  # type: ignore[return-value]
            value: R_co = decode_value(
                outcome.encoding, outcome.value, max_size=self._portal.settings.max_result_size
            )
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
        if self._is_open():
            self._portal.inbox.look((self,))
            if self.fault is not None:
                raise self.fault

    def _is_open(self) -> bool:
        """Tell whether the node has to be asked, and prepare for that."""
        if self.outcome is not None or self.round == LOCAL:
            return False
        if self.is_settled():
            self.unsettle()
        return True

    @property
    def state(self) -> str:
        """The state now: SCHEDULED PENDING STARTED RETRY, then SUCCESS FAILURE REVOKED EXPIRED DEAD.

        While the task runs, what it gave to `update_state(state=...)` instead of STARTED.

        Raises:
            TaskNotFound, ResultExpired: Nothing is known of the id (any more).
        """
        state = self._state()
        telling = self._telling() if state == State.STARTED.value else None
        return telling.label if telling is not None and telling.label else state

    def _state(self) -> str:
        self._look()
        return self._known_state()

    def _known_state(self) -> str:
        if self.outcome is not None:
            return self.outcome.state
        if self.missing and not self.expired:
            raise absence(self, self._portal)
        return str(self.last_state)

    def _telling(self) -> Telling | None:
        """Read what the task tells of itself, if it runs."""
        return None if self.is_settled() else self._portal.telling(self.id)

    @property
    def progress(self) -> Progress | None:
        """How far the task is, as it told by `current_task().report_progress()`; None if it does not run or tell."""
        telling = self._telling()
        return telling.progress if telling is not None else None

    @property
    def info(self) -> Any:
        """The value or the exception, without waiting; while the task runs, its `update_state(meta=...)`.

        Without a `meta`, its progress as a dict; without that, None.
        """
        if self._state() == State.STARTED.value:
            telling = self._telling()
            return telling.facts() if telling is not None else None
        return self.conclude(propagate=False) if self.outcome is not None else None

    @property
    def result(self) -> Any:
        """The same as `info`, as Celery names it."""
        return self.info

    @property
    def status(self) -> str:
        """The same as `state`."""
        return self.state

    def ready(self) -> bool:
        """Tell whether it has ended, in whatever way.

        Raises:
            TaskNotFound, ResultExpired: Nothing is known of the id (any more).
        """
        return self._state() in _FINAL_NAMES

    def successful(self) -> bool:
        """Tell whether it ended with a value."""
        return self._state() == "SUCCESS"

    def failed(self) -> bool:
        """Tell whether it ended without one: FAILURE or DEAD."""
        return self._state() in ("FAILURE", "DEAD")

    @property
    def traceback(self) -> str | None:
        """The worker's traceback if the task failed, else None."""
        self._look()
        if self.outcome is not None and self.outcome.error is not None:
            return self.outcome.error.traceback
        return None

    # -- how it came about --------------------------------------------------------

    def _last(self) -> Outcome | None:
        """Return the outcome; before there is one, that of the last attempt that was not the last one."""
        self._look()
        return self.outcome if self.outcome is not None else self.history

    @property
    def attempts(self) -> list[Attempt]:
        """The attempts that have ended, oldest first; of more than ten the first three and the last."""
        from taskmesh.client.attempts import attempts_of

        last = self._last()
        return attempts_of(last) if last is not None else []

    @property
    def retries(self) -> int:
        """How often it has been tried again so far."""
        last = self._last()
        if last is None:
            return 0
        return last.attempt if last is self.history else max(0, last.attempt - 1)

    @property
    def crashes(self) -> int:
        """How often its process died while it ran, which is no attempt; the node is asked each time."""
        return 0 if self.round == LOCAL else self._portal.crashes(self.id)

    @property
    def worker(self) -> str | None:
        """Name of the worker of the last attempt that has ended; None before there is one."""
        last = self._last()
        return (last.worker or None) if last is not None else None

    @property
    def started_at(self) -> datetime | None:
        """When that attempt began."""
        last = self._last()
        return moment(last.started_ms) if last is not None else None

    @property
    def finished_at(self) -> datetime | None:
        """When the message ended, in whatever way; None before that."""
        self._look()
        return moment(self.outcome.finished_ms) if self.outcome is not None else None

    # -- in event loops -----------------------------------------------------------

    async def astate(self) -> str:
        """As `state`, in an event loop. Once it has ended, whatever is asked of this handle holds up no loop."""
        await self.aready()
        state = self._known_state()
        telling = await self._atelling() if state == State.STARTED.value else None
        return telling.label if telling is not None and telling.label else state

    async def aready(self) -> bool:
        """As `ready`, in an event loop."""
        if self._is_open():
            from taskmesh.client.async_look import look

            await look(self._portal, self)
            if self.fault is not None:
                raise self.fault
        return self._known_state() in _FINAL_NAMES

    async def aprogress(self) -> Progress | None:
        """As `progress`, in an event loop."""
        telling = await self._atelling()
        return telling.progress if telling is not None else None

    async def _atelling(self) -> Telling | None:
        if self.is_settled():
            return None
        from taskmesh.client.async_look import telling

        return await telling(self._portal, self.id)

    async def arevoke(self, *, terminate: bool = False, signal: str = "TERM") -> bool:
        """As `revoke`, in an event loop."""
        from taskmesh.client.async_look import revoke

        (verdict,) = await revoke(self._portal, self, terminate=terminate, signal=signal)
        if verdict is None:
            raise absence(self, self._portal)
        return verdict

    # -- acting -------------------------------------------------------------------

    def forget(self) -> None:
        """Have the outcome dropped now, if there is one: nobody can read it any more.

        The state stays known for ten minutes, so that sending the id again is harmless. A message that has not
        ended yet is left as it is.
        """
        self._portal.forget((self,))

    def revoke(self, *, terminate: bool = False, signal: str = "TERM") -> bool:
        """Revoke the message, and tell whether it is revoked by now.

        One that waits is, at once. One that runs is flagged: it may look at `current_task().revoked`, and is not
        begun again, whatever happens to its worker. One that has ended is left alone. The latter two return False.

        Args:
            terminate: End the run, too, if there is one: its process is told within a second, killed if it does not
                end, and replaced; then the message is REVOKED, which `get()` waits for, unless it ended by itself
                before.
            signal: By which its process is told: TERM, which raises `SystemExit` in the task so that it can clean up
                for 2 s, KILL, or another that ends processes.

        Raises:
            TaskNotFound: Nothing is known of the id.
            UsageError: There is no such signal.
        """
        (verdict,) = self._portal.revoke((self,), terminate=terminate, signal=signal)
        if verdict is None:
            raise absence(self, self._portal)
        return verdict

    def __await__(self) -> Generator[Any, None, R_co]:
        """Wait for the outcome in an event loop; same values and errors as `get`."""
        return self._portal.wait_async(self).__await__()
