"""Hooks: what an app wants to be called when workers, children and tasks begin and end.

What stands here calls them and bears their errors; when, is for those who run workers and tasks to say.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from taskmesh.core.context import CurrentTask
from taskmesh.core.death import Death
from taskmesh.core.state import State
from taskmesh.errors import UsageError

log = logging.getLogger("taskmesh.hooks")


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """The worker in which a hook is called.

    Attributes:
        name: Its name.
        queues: What it serves, best first; empty for the default queue.
        child: Number of the child, never used again in the worker's life; 0 in the worker's template.
    """

    name: str
    queues: tuple[str, ...]
    child: int = 0


class Middleware:
    """Hooks that belong together: derive a class, define those that you need, and `mesh.add_hooks(Timing())`.

    A hook may be `async def`; it runs in the event loop in which tasks of its process run. What it returns is not
    used. Whatever it raises is logged and changes nothing, except that a child whose `on_child_start` fails does not
    start. Those added first come first before tasks and at starts, and last after tasks and at stops.
    """

    def on_worker_start(self, worker: WorkerContext) -> Any:
        """Once per worker, before its first child: in the template process, which the children are forked from.

        It should start no thread and leave no connection open: forked children cannot share them. A worker whose hook
        fails does not start.
        """

    def on_worker_stop(self, worker: WorkerContext) -> Any:
        """Once per worker, after its last child, in the same process; it has five seconds."""

    def on_child_start(self, worker: WorkerContext) -> Any:
        """In each child, before its first task: the place to open connections. One that fails is tried again."""

    def on_child_stop(self, worker: WorkerContext) -> Any:
        """In each child that ends in peace, after its last task; not in one that is killed."""

    def before_task(self, task: CurrentTask) -> Any:
        """Before each run of a task, in its process, thread and context."""

    def after_task(self, task: CurrentTask, state: State, seconds: float) -> Any:
        """After each run, however it ended.

        Args:
            task: The message that ran.
            state: SUCCESS, FAILURE, RETRY, or what else the run led to.
            seconds: How long the task itself took.
        """

    def on_success(self, task: CurrentTask, value: Any) -> Any:
        """After a run that succeeded, with what the task returned."""

    def on_failure(self, task: CurrentTask, error: BaseException) -> Any:
        """After a run by which the message has failed for good, with what was raised."""

    def on_retry(self, task: CurrentTask, error: BaseException) -> Any:
        """After a run that will be repeated, with what was raised."""


TASK_EVENTS = ("before_task", "on_success", "on_failure", "on_retry", "after_task")
EVENTS = ("on_worker_start", "on_worker_stop", "on_child_start", "on_child_stop", *TASK_EVENTS)
_FIRST_COMES_FIRST = ("on_worker_start", "on_child_start", "before_task")

Await = Callable[[Any], Any]
"""Runs what an `async def` hook returned, to its end."""


class Hooks:
    """The hooks of one mesh in this process.

    Attributes:
        watch_tasks: Whether any is called before or after tasks; looked at before each run.
        watch_all_tasks: Whether that is so for every task, not only for those that have hooks of their own.
        let_ctrl_c_through: Whether a KeyboardInterrupt in a hook is the user's, who wants the process to stop. A
            worker's processes ignore Ctrl-C: there it is of the hook's making.
        heirs: Called in the child that takes the place of one that died in a run, before its first task, with what the
            run left as its `will`: bytes that only those know who left them.
    """

    __slots__ = ("_found", "heirs", "let_ctrl_c_through", "watch_all_tasks", "watch_tasks")

    def __init__(self) -> None:
        """Begin with none."""
        self._found: dict[str, list[Callable[..., Any]]] = {event: [] for event in EVENTS}
        self.watch_tasks = self.watch_all_tasks = False
        self.let_ctrl_c_through = True
        self.heirs: list[Callable[[bytes, Death], None]] = []

    def add(self, event: str, function: Callable[..., Any]) -> None:
        """Have a function called.

        Args:
            event: One of `EVENTS`.
            function: Called as the method of that name of `Middleware`.

        Raises:
            UsageError: It cannot be called, or not with what it would be told.
        """
        if not callable(function):
            raise UsageError(f"@mesh.{event} decorates a function, not {function!r}")
        _check_parameters(event, function)
        found = self._found[event]
        if event in _FIRST_COMES_FIRST:
            found.append(function)
        else:
            found.insert(0, function)
        if event in TASK_EVENTS:
            self.watch_tasks = self.watch_all_tasks = True

    def add_all(self, middleware: Any) -> None:
        """Have the methods of an object called that are named as hooks.

        Args:
            middleware: An instance of `Middleware`, or of any class with such methods.

        Raises:
            UsageError: It has no hook, or a method whose name is nearly one.
        """
        from difflib import get_close_matches

        if isinstance(middleware, type):
            raise UsageError(f"add_hooks takes an instance: {middleware.__name__}(), not the class")
        kind = type(middleware)
        for name in dir(kind):
            near = get_close_matches(name, EVENTS, n=1, cutoff=0.85)
            if near and near[0] != name:
                raise UsageError(f"{kind.__name__}.{name} is no hook; did you mean {near[0]}?")
        own = [
            event
            for event in EVENTS
            if hasattr(kind, event) and getattr(kind, event) is not getattr(Middleware, event)
        ]
        if not own:
            raise UsageError(f"{kind.__name__} defines none of the hooks {', '.join(EVENTS)}")
        for event in own:
            self.add(event, getattr(middleware, event))

    def watch(self) -> None:
        """Look at tasks from now on: one has hooks of its own."""
        self.watch_tasks = True

    def has(self, *events: str) -> bool:
        """Tell whether any hook of these events is there."""
        return any(self._found[event] for event in events)

    def start(self, event: str, worker: WorkerContext, await_: Await) -> None:
        """Call the hooks of a start, until one raises.

        Raises:
            Whatever a hook raises.
        """
        for function in self._found[event]:
            call(function, (worker,), await_)

    def tell(self, event: str, await_: Await, *args: Any) -> None:
        """Call the hooks of an event; their errors are logged."""
        for function in self._found[event]:
            self.call_safely(function, args, await_)

    def tell_heirs(self, will: bytes, death: Death) -> None:
        """Tell of a run whose process died in it; errors are logged."""
        for heir in self.heirs:
            self.call_safely(heir, (will, death), _nothing_to_await)

    def call_safely(self, function: Callable[..., Any], args: tuple[Any, ...], await_: Await) -> None:
        """Call a hook; its error is logged with its traceback and changes nothing."""
        try:
            call(function, args, await_)
        except BaseException as error:
            # a hook may raise anything: what it was called for goes on
            if isinstance(error, KeyboardInterrupt) and self.let_ctrl_c_through:
                raise
            log.exception("the hook %s failed; that changes nothing else", name_of(function))


def _check_parameters(event: str, function: Callable[..., Any]) -> None:
    """Refuse a hook that would fail each time it is called."""
    told = [name for name in inspect.signature(getattr(Middleware, event)).parameters if name != "self"]
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # it does not tell what it takes, as some functions of C
    try:
        signature.bind(*told)
    except TypeError as error:
        raise UsageError(
            f"@mesh.{event}: {name_of(function)}{signature} cannot be called as it would be: {error}; a hook of this "
            f"kind takes ({', '.join(told)})"
        ) from None


def call(function: Callable[..., Any], args: tuple[Any, ...], await_: Await) -> None:
    """Call a hook, to the end of its coroutine if it has one."""
    result = function(*args)
    if inspect.iscoroutine(result):
        await_(result)


def _nothing_to_await(result: Any) -> None:
    raise UsageError(f"what is told of a death returns no coroutine, such as {result!r}")


async def await_safely(coroutines: list[Any]) -> None:
    """Await what hooks returned, one after the other, and empty the list; errors are logged and change nothing."""
    while coroutines:
        coroutine = coroutines.pop(0)
        try:
            await coroutine
        except BaseException:
            # a hook may raise anything: what it was called for goes on
            log.exception("the hook %s failed; that changes nothing else", name_of(coroutine))


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a hook, for logs."""
    return (
        f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', type(function).__name__)}"
    )
