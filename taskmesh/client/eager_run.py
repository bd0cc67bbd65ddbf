"""One message that its caller runs: what it is to the task, and how each of its runs ends."""

from __future__ import annotations

import inspect
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from random import SystemRandom
from typing import TYPE_CHECKING, Any

import msgspec

from taskmesh.client.keys import call_keys
from taskmesh.client.options import SendOptions
from taskmesh.client.result import LOCAL, AsyncResult
from taskmesh.codec.attempts import history_with
from taskmesh.codec.functions import encode_function
from taskmesh.codec.outcome import Outcome, PastAttempt
from taskmesh.codec.pickling import decode_call, encode_call, encode_error, encode_value
from taskmesh.codec.telling import Telling, with_progress, with_state
from taskmesh.core.context import CURRENT, Running, current_task
from taskmesh.core.hooks import Await
from taskmesh.core.ids import check_task_id
from taskmesh.core.observed import Observed
from taskmesh.core.retrier import Retrier, exceeded, reason_of
from taskmesh.core.state import State
from taskmesh.errors import (
    Ignore,
    NotPicklable,
    Reject,
    Retry,
    Snooze,
    SoftTimeLimitExceeded,
    UsageError,
    Verdict,
)
from taskmesh.limits.alarm import Alarm, call_within, soft_limit_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from taskmesh.client.task import Task

#: So often a message may ask to be run later: nothing that it waits for can happen while its caller runs it.
AGAIN_MAX = 100


class InlineContact:
    """How a task speaks that runs in its caller: nobody can revoke it, nor read what it tells meanwhile."""

    def __init__(self, running: Running) -> None:
        """Prepare."""
        self._telling = Telling(running.task_id, "")
        running.contact = self

    def is_revoked(self) -> bool:
        """See `CurrentTask.revoked`."""
        return False

    def report_progress(self, done: float, total: float | None, note: str | None) -> None:
        """Refuse what a worker would refuse."""
        self._telling = with_progress(self._telling, done, total, note)

    def update_state(self, state: str | None, meta: object) -> None:
        """Refuse what a worker would refuse."""
        self._telling = with_state(self._telling, state, meta)

    def close(self) -> None:
        """Do nothing."""


class EagerRun:
    """One message that its caller runs.

    Attributes:
        handle: The handle on it; it has the outcome once there is one.
        args: Positional arguments of the next run.
        kwargs: Keyword arguments of the next run.
        attempt: Which attempt that is, from 1.
        trace: `traceparent` of the span in which it runs; empty if nobody traces it.
        will: Of no use here: nobody outlives the caller.
        policy: How often runs that fail are repeated.
    """

    is_eager = True

    def __init__(
        self,
        task: Task[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: SendOptions,
        task_id: str | None,
        *,
        keep: bool,
        await_: Await,
    ) -> None:
        """Prepare; arguments as `run_eagerly`, and what runs coroutines of hooks."""
        self._portal = portal = task.mesh.portal
        self._hooks = task.mesh.hooks
        self._own_hooks = task.own_hooks
        self._await = await_
        self._function = task.run
        self._soft_time_limit_s = task.soft_time_limit_s(options)
        self._options = options
        self._queue = options.queue
        self._keep = keep
        self._value: tuple[int, bytes | None] = (0, None)
        self._created_ms = self._started_ms = _now_ms()
        self._earlier: tuple[PastAttempt, ...] = ()
        self._again = 0
        self._observed: Observed | None = None
        self._retrier = Retrier(_now_ms, SystemRandom().random)
        self.name = name = task.name
        self.policy = task.retry_policy
        self.attempt = 1
        self.trace = ""
        self.will = b""
        given_id = task_id
        task_id = check_task_id(task_id) if task_id is not None else portal.sender.new_id()
        if task.by_value:
            encode_function(task.run, max_size=portal.settings.max_message_size)
        call = self._packed(args, kwargs)
        self._headers = _as_sent(options.headers)
        self.handle: AsyncResult[Any] = AsyncResult(portal, task_id, name, round_=LOCAL, sent_here=True)
        known = portal.inline.find(task_id) if keep else None
        if keep and options.has_keys:
            keys = call_keys(name, task.run, args, kwargs, options, given_id)
            key = options.idempotency_key
            first = portal.inline.first_with(key, keys.given_for, task_id, name) if key is not None else None
            if first is not None and known is None:
                self.handle.id, known = first
                self.handle.duplicate = True
        if known is not None:
            self._end(known)
        else:
            self.args, self.kwargs = call()

    @property
    def task_id(self) -> str:
        """Its id."""
        return self.handle.id

    @property
    def trace_before(self) -> str:
        """`traceparent` of the attempt before; empty if there is none, or nobody traced it."""
        return self._earlier[-1].trace if self._earlier else ""

    @property
    def expires_ms(self) -> int:
        """Unix time after which it must not begin; 0 for never."""
        return self._options.expires_ms(self._created_ms)

    @property
    def first_due_ms(self) -> int:
        """Unix time at which it was sent: here everything is due at once."""
        return self._created_ms

    @contextmanager
    def as_current(self) -> Iterator[None]:
        """Be the current task for one run, and end or go on as the body ends."""
        self._started_ms = _now_ms()
        token = CURRENT.set(self._running())
        observed = self._observed = self._begin_observed() if self._hooks.watch_tasks else None
        begun_s = time.monotonic()
        try:
            yield
        except KeyboardInterrupt:
            raise  # the user's, who wants the caller to stop
        except BaseException as error:
            if _is_cancelled(error):
                raise
            state = self._raised(error)
            if observed is not None:
                observed.raised(reason_of(error))
                observed.after(state, time.monotonic() - begun_s)
        else:
            state = State.FAILURE if self.handle.outcome is not None else self._end(self._outcome("SUCCESS"))
            if observed is not None:
                observed.after(state, time.monotonic() - begun_s)
        finally:
            CURRENT.reset(token)

    def _running(self) -> Running:
        return Running(
            self.task_id,
            self.name,
            self._queue,
            self._headers,
            self.attempt,
            0,
            self._portal.client_name,
            self,
            self._retrier,
            token="",
            open_contact=InlineContact,
        )

    def _begin_observed(self) -> Observed:
        observed = Observed(self._hooks, self._own_hooks, current_task(), self.args, self.kwargs, self._await)
        observed.before()
        return observed

    def call(self) -> Any:
        """Call the function, within its soft limit where that can be kept."""
        limit_s, call = self._soft_time_limit_s, partial(self._function, *self.args, **self.kwargs)
        if not limit_s or inspect.iscoroutinefunction(self._function) or not Alarm.is_possible():
            return call()
        return call_within(Alarm(), limit_s, self._too_late(), call)

    def limited(self, coroutine: Any) -> Any:
        """Return a coroutine within its soft limit."""
        if not self._soft_time_limit_s:
            return coroutine
        from taskmesh.limits.coroutine import within

        return within(coroutine, self._soft_time_limit_s, self._too_late())

    def _too_late(self) -> SoftTimeLimitExceeded:
        return soft_limit_error(self.task_id, self.name, self._soft_time_limit_s)

    def returned(self, value: object) -> None:
        """Take the value that the function returned."""
        if self._observed is not None:
            self._observed.returned(value)
        if not self._options.ignore_result:
            try:
                self._value = encode_value(value, max_size=self._portal.settings.max_result_size)
            except UsageError as error:
                # it has done its work: to run it again would not mend its value
                self._end(self._outcome("FAILURE", error))
                if self._observed is not None:
                    self._observed.raised(error)

    def _raised(self, error: BaseException) -> State:
        """End or go on as what the task raised says, and return the state to which that leads."""
        if isinstance(error, Verdict):
            return self._judged(error)
        if self.policy.asks_for(error) and self._retrier.due_ms(self) is not None:
            return self._try_again(error)
        return self._end(self._outcome("FAILURE", error))

    def _judged(self, verdict: Verdict) -> State:
        """Do what the task asked for, without the waiting."""
        if isinstance(verdict, Retry):
            return self._retried(verdict)
        if isinstance(verdict, Ignore):
            return self._end(self._outcome("SUCCESS"))
        if isinstance(verdict, Snooze):
            return self._run_later(verdict, State.SCHEDULED)
        if isinstance(verdict, Reject) and verdict.requeue:
            return self._run_later(verdict, State.PENDING)
        if isinstance(verdict, Reject):
            cause = verdict.__cause__ or verdict.__context__
            return self._end(self._outcome("DEAD", cause, reason=f"rejected: {verdict.reason}"))
        return self._end(self._outcome("FAILURE", verdict))

    def _retried(self, verdict: Retry) -> State:
        if verdict.due_ms is None and self._retrier.due_ms(self) is None:
            return self._end(self._outcome("FAILURE", verdict.exc or exceeded(self)))
        try:
            if verdict.call is not None:
                self.args, self.kwargs = self._packed(*verdict.call)()
        except UsageError as error:
            return self._end(self._outcome("FAILURE", error))
        self._queue = verdict.queue or self._queue
        return self._try_again(verdict.exc)

    def _try_again(self, error: BaseException | None) -> State:
        self._earlier = history_with(self._outcome("RETRY", error))
        self.attempt += 1
        return State.RETRY

    def _run_later(self, verdict: Verdict, state: State) -> State:
        self._again += 1
        if self._again <= AGAIN_MAX:
            return state
        why = UsageError(
            f"task {self.task_id} ({self.name}) put itself off {AGAIN_MAX} times ({verdict}): what it waits for "
            "cannot happen while its caller runs it, so test it with a worker (the fixture mesh_worker)"
        )
        return self._end(self._outcome("FAILURE", why))

    def _packed(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[], Any]:
        """Pickle a call, and return what unpickles it as a worker would."""
        size_max = self._portal.settings.max_message_size
        encoding, body, clear_size = encode_call(args, kwargs, max_size=size_max)
        return lambda: decode_call(encoding, body, clear_size, size_max)

    def _outcome(self, state: str, error: BaseException | None = None, *, reason: str = "") -> Outcome:
        encoding, value = self._value
        return Outcome(
            self.handle.id,
            state,
            value=value,
            encoding=encoding,
            error=encode_error(error) if error is not None else None,
            finished_ms=_now_ms(),
            started_ms=self._started_ms,
            worker=self._portal.client_name,
            attempt=self.attempt,
            reason=reason,
            attempts=self._earlier,
            trace=self.trace,
        )

    def _end(self, outcome: Outcome) -> State:
        state = self.handle.last_state = State(outcome.state)
        self.handle.set_outcome(outcome)
        if self._keep:
            self._portal.inline.keep(outcome)
        return state


def _now_ms() -> int:
    return int(time.time() * 1000)


def _as_sent(headers: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return headers as the task would find them, or raise what sending them would."""
    if headers is None:
        return None
    try:
        sent: dict[str, Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(headers))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise NotPicklable(f"headers {headers!r} must be plain data, as msgpack knows it: {error}") from error
    return sent


def _is_cancelled(error: BaseException) -> bool:
    """Tell whether it is not the task that ends by this error, but the coroutine that runs it inline."""
    if isinstance(error, GeneratorExit):
        return True
    import asyncio

    if not isinstance(error, asyncio.CancelledError):
        return False
    try:
        current = asyncio.current_task()
    except RuntimeError:
        return False
    return current is not None and current.cancelling() > 0
