"""Run a task inline: the same encodings as on the way to a worker and back, without the way."""

from __future__ import annotations

import contextvars
import inspect
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from taskmesh.client.options import SendOptions
from taskmesh.client.result import LOCAL, AsyncResult
from taskmesh.codec.functions import encode_function
from taskmesh.codec.outcome import Outcome
from taskmesh.codec.pickling import decode_call, encode_call, encode_error, encode_value
from taskmesh.core.context import CURRENT, Running, current_task
from taskmesh.core.hooks import Hooks
from taskmesh.core.ids import check_task_id
from taskmesh.core.observed import Observed, OwnHooks
from taskmesh.core.state import State
from taskmesh.errors import NotPicklable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taskmesh.client.portal import Portal


def run_eagerly(
    portal: Portal,
    name: str,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: SendOptions,
    task_id: str | None,
    *,
    hooks: Hooks,
    own_hooks: OwnHooks | None = None,
    by_value: bool = False,
    keep: bool = True,
) -> AsyncResult[Any]:
    """Run the function here, and return a handle that has the outcome.

    Arguments and value are pickled and unpickled as on the way to a worker, so that what could not be sent
    fails here too. Sending an id again that is known changes nothing, also here.

    Args:
        portal: Of the mesh.
        name: Name of the task.
        function: What to run.
        args: Positional arguments.
        kwargs: Keyword arguments.
        options: As for sending.
        task_id: Id of the message; made if None.
        hooks: What is called before and after it.
        own_hooks: The hooks of the task's class.
        by_value: Whether the function itself would have to travel.
        keep: Whether `mesh.result(id)` is to know the outcome.
    """
    run = _Run(
        portal,
        name,
        function,
        args,
        kwargs,
        options,
        task_id,
        hooks=hooks,
        own_hooks=own_hooks,
        by_value=by_value,
        keep=keep,
    )
    if run.handle.outcome is None:
        with run.as_current():
            result = function(*run.args, **run.kwargs)
            if inspect.iscoroutine(result):
                result = _run_coroutine(result)
            run.returned(result)
    return run.handle


async def run_eagerly_async(
    portal: Portal,
    name: str,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: SendOptions,
    task_id: str | None,
    *,
    hooks: Hooks,
    own_hooks: OwnHooks | None = None,
    by_value: bool = False,
) -> AsyncResult[Any]:
    """As `run_eagerly`; a coroutine is awaited in the loop that runs already."""
    run = _Run(
        portal,
        name,
        function,
        args,
        kwargs,
        options,
        task_id,
        hooks=hooks,
        own_hooks=own_hooks,
        by_value=by_value,
        keep=True,
    )
    if run.handle.outcome is None:
        with run.as_current():
            result = function(*run.args, **run.kwargs)
            if inspect.iscoroutine(result):
                result = await result
            run.returned(result)
    return run.handle


class _Run:
    """One inline run."""

    def __init__(
        self,
        portal: Portal,
        name: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: SendOptions,
        task_id: str | None,
        *,
        hooks: Hooks,
        own_hooks: OwnHooks | None,
        by_value: bool,
        keep: bool,
    ) -> None:
        self._portal = portal
        self._options = options
        self._keep = keep
        self._hooks = hooks
        self._own_hooks = own_hooks
        self._observed: Observed | None = None
        self._value: tuple[int, bytes | None] = (0, None)
        self._started_ms = _now_ms()
        task_id = check_task_id(task_id) if task_id is not None else portal.sender.new_id()
        if by_value:
            encode_function(function, max_size=portal.max_message_size)
        encoding, body, clear_size = encode_call(args, kwargs, max_size=portal.max_message_size)
        headers = _as_sent(options.headers)
        self.handle: AsyncResult[Any] = AsyncResult(portal, task_id, name, round_=LOCAL, sent_here=True)
        known = portal.inline.find(task_id) if keep else None
        if known is not None:
            self._end(known)
        else:
            self.args, self.kwargs = decode_call(encoding, body, clear_size, portal.max_message_size)
            self._running = Running(
                task_id, name, options.queue, headers, attempt=1, crashes=0, worker=portal.client_name
            )

    @contextmanager
    def as_current(self) -> Iterator[None]:
        """Be the current task, and end as the body ends."""
        token = CURRENT.set(self._running)
        begun_s = time.monotonic()
        try:
            if self._hooks.watch_tasks:
                self._begin_observed()
                begun_s = time.monotonic()
            yield
        except KeyboardInterrupt:
            raise  # the user's, who wants the caller to stop
        except BaseException as error:
            if _is_cancelled(error):
                raise
            self._end(self._outcome("FAILURE", error))
            if self._observed is not None:
                self._observed.raised(error)
                self._observed.after(State.FAILURE, time.monotonic() - begun_s)
        else:
            self._end(self._outcome("SUCCESS", None))
            if self._observed is not None:
                self._observed.after(State.SUCCESS, time.monotonic() - begun_s)
        finally:
            CURRENT.reset(token)

    def _begin_observed(self) -> None:
        self._observed = Observed(
            self._hooks, self._own_hooks, current_task(), self.args, self.kwargs, _run_coroutine
        )
        self._observed.before()

    def returned(self, value: object) -> None:
        """Take the value that the function returned."""
        if self._observed is not None:
            self._observed.returned(value)
        if not self._options.ignore_result:
            self._value = encode_value(value, max_size=self._portal.max_result_size)

    def _outcome(self, state: str, error: BaseException | None) -> Outcome:
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
            attempt=1,
        )

    def _end(self, outcome: Outcome) -> None:
        self.handle.last_state = State(outcome.state)
        self.handle.set_outcome(outcome)
        if self._keep:
            self._portal.inline.keep(outcome)


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


def _run_coroutine(coroutine: Any) -> Any:
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    # a loop runs in this thread already, and loops do not nest
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(context.run, asyncio.run, coroutine).result()
