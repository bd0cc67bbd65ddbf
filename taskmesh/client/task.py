"""Task: a function that can be sent."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, overload

from taskmesh.client.eager import run_eagerly
from taskmesh.client.host import Host
from taskmesh.client.result import AsyncResult
from taskmesh.client.result_set import ResultSet
from taskmesh.client.sender import ROUTING_RUN, SLICE, SendOptions, check_queue, slices
from taskmesh.core.naming import is_importable
from taskmesh.errors import BatchError, UsageError

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """What `@mesh.task(...)` was given.

    Attributes:
        queue: Where its messages go; None for the mesh's default queue.
        ignore_result: Keep the state of the outcome only.
        result_expires_s: How long outcomes are kept; None for the mesh's setting.
    """

    queue: str | None = None
    ignore_result: bool = False
    result_expires_s: float | None = None


class Task(Generic[P, R]):
    """A function that workers run when it is sent, and that runs here when it is called.

    Attributes:
        name: `module.qualname`; how workers find it.
        function: The function itself.
    """

    def __init__(self, mesh: Host, function: Callable[P, R], name: str, options: TaskOptions) -> None:
        """Make a task; `@mesh.task` does."""
        self.mesh = mesh
        self.function = function
        self.name = name
        self.options = options
        self.__name__ = getattr(function, "__name__", name)
        self.__qualname__ = getattr(function, "__qualname__", name)
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.__wrapped__ = function
        self._defaults: SendOptions | None = None
        self._by_value = not is_importable(function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now, as if it were not a task."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        """Show the task's name and mesh."""
        return f"<Task {self.name} of mesh {self.mesh.name!r}>"

    def __reduce__(self) -> Any:
        """Pickle by name, so that a task may be an argument of another."""
        return _find_task, (self.function.__module__, self.__qualname__)

    # -- sending ------------------------------------------------------------------

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Send a message to run the function with these arguments, and return a handle on it.

        Returns when the message is recorded.

        Raises:
            SendRejected: It is certainly not recorded. `QueueFull` when the node's memory is.
            SendUnknown: It may be recorded.
            NotPicklable, PayloadTooLarge: The arguments cannot be sent.
        """
        return self._send(args, kwargs, self._defaults or self._default_options(), None)

    def apply_async(
        self,
        args: Iterable[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        task_id: str | None = None,
        queue: str | None = None,
        headers: dict[str, Any] | None = None,
        ignore_result: bool | None = None,
        result_expires: float | None = None,
    ) -> AsyncResult[R]:
        """Send a message with options.

        Args:
            args: Positional arguments.
            kwargs: Keyword arguments.
            task_id: The message's id, 1 to 200 printable ASCII characters; made if not given. Sending an id
                again that is known changes nothing.
            queue: Where it goes, instead of the task's queue.
            headers: Facts of your own, for `current_task().headers`: plain values.
            ignore_result: Keep the state of the outcome only.
            result_expires: Seconds to keep the outcome.

        Raises:
            As `delay`, and `InvalidTaskId`, `UsageError` for options that cannot be.
        """
        options = self.send_options(queue, headers, ignore_result, result_expires)
        return self._send(tuple(args), dict(kwargs or {}), options, task_id)

    def _send(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], options: SendOptions, task_id: str | None
    ) -> AsyncResult[R]:
        mesh = self.mesh
        if mesh.eager:
            return self._run_here(args, kwargs, options, task_id)
        portal = mesh.portal
        if portal.link.meta is None:
            portal.link.open()
        function, functions = "", None
        if self._by_value:
            _, function, blob = portal.sender.pack_function(self.function)
            functions = {function.encode(): blob}
        message = portal.sender.build(self.name, args, kwargs, options, task_id=task_id, function=function)
        handle: AsyncResult[R] = AsyncResult(
            portal, message.task_id.decode(), self.name, round_=portal.inbox.round, sent_here=True
        )
        if handle.round:
            portal.inbox.expect(handle)
        portal.sender.send_one(message, functions)
        return handle

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """As `delay`, in an event loop."""
        return await self.aapply_async(args, kwargs)

    async def aapply_async(
        self,
        args: Iterable[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        task_id: str | None = None,
        queue: str | None = None,
        headers: dict[str, Any] | None = None,
        ignore_result: bool | None = None,
        result_expires: float | None = None,
    ) -> AsyncResult[R]:
        """As `apply_async`, in an event loop."""
        from taskmesh.client.async_send import send_async

        options = self.send_options(queue, headers, ignore_result, result_expires)
        return await send_async(self, tuple(args), dict(kwargs or {}), options, task_id)

    def map(self, items: Iterable[Any]) -> ResultSet[R]:
        """Send one message per item, each with the item as its only argument, in few round trips.

        Raises:
            BatchError: Some were not accepted.
        """
        return self.starmap((item,) for item in items)

    def starmap(self, calls: Iterable[Iterable[Any]]) -> ResultSet[R]:
        """Send one message per tuple of positional arguments, in few round trips.

        Raises:
            BatchError: Some were not accepted.
        """
        mesh = self.mesh
        options = self._defaults or self._default_options()
        if mesh.eager:
            return ResultSet([self._run_here(tuple(call), {}, options, None) for call in calls], mesh.portal)
        portal = mesh.portal
        sender = portal.sender
        portal.link.open()
        function, functions = "", None
        if self._by_value:
            _, function, blob = sender.pack_function(self.function)
            functions = {function.encode(): blob}
        handles: list[AsyncResult[R]] = []
        name = self.name
        round_ = portal.inbox.round
        failures: BatchError | None = None
        for part in slices(calls, SLICE):
            messages = []
            routing = 0
            for at, call in enumerate(part):
                if at % ROUTING_RUN == 0:
                    routing = sender.new_routing()
                message = sender.build(name, tuple(call), {}, options, routing=routing, function=function)
                handle: AsyncResult[R] = AsyncResult(
                    portal, message.task_id.decode(), name, round_=round_, sent_here=True
                )
                if round_:
                    portal.inbox.expect(handle)
                handles.append(handle)
                messages.append(message)
            failures = sender.send_slice(messages, functions, failures)
        if failures is not None:
            failures.results = ResultSet(handles, portal)
            raise failures
        return ResultSet(handles, portal)

    def apply(self, args: Iterable[Any] = (), kwargs: dict[str, Any] | None = None) -> AsyncResult[R]:
        """Run the function here and now, and return a handle that has the outcome already."""
        options = self._defaults or self._default_options()
        return self._run_here(tuple(args), dict(kwargs or {}), options, None)

    def _run_here(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], options: SendOptions, task_id: str | None
    ) -> AsyncResult[R]:
        return run_eagerly(self.mesh.portal, self.name, self.function, args, kwargs, options, task_id)

    # -- options ------------------------------------------------------------------

    @property
    def by_value(self) -> bool:
        """Whether the function itself travels with its messages, since no worker could import it."""
        return self._by_value

    def _default_options(self) -> SendOptions:
        settings = self.mesh.settings
        expires_s = self.options.result_expires_s
        self._defaults = SendOptions(
            queue=self.options.queue or settings.default_queue,
            ignore_result=self.options.ignore_result,
            result_ttl_s=int(settings.result_expires if expires_s is None else expires_s),
        )
        return self._defaults

    def send_options(
        self,
        queue: str | None,
        headers: dict[str, Any] | None,
        ignore_result: bool | None,  # noqa: FBT001 - the callers pass what they were given by keyword
        result_expires: float | None,
    ) -> SendOptions:
        """Return the task's options with those of one call in front."""
        options = self._defaults or self._default_options()
        if queue is not None:
            options = replace(options, queue=check_queue(queue))
        if headers:
            options = replace(options, headers=check_headers(headers))
        if ignore_result is not None:
            options = replace(options, ignore_result=ignore_result)
        if result_expires is not None:
            options = replace(options, result_ttl_s=check_expires(result_expires))
        return options


class AsyncTask(Task[P, R]):
    """A task whose function is `async def`: calling it gives the coroutine, sending it a handle on the value."""

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:  # type: ignore[override]
            """Return the coroutine, as if it were not a task."""


class TaskDecorator(Protocol):
    """What `@mesh.task(...)` returns."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


def check_headers(headers: dict[str, Any]) -> dict[str, Any]:
    """Return the headers, or raise `UsageError` if they are not a dict with text keys."""
    if not isinstance(headers, dict) or not all(isinstance(key, str) for key in headers):
        raise UsageError(f"headers must be a dict with text keys, not {headers!r}")
    return headers


def check_expires(seconds: float) -> int:
    """Return `result_expires` in whole seconds, or raise `UsageError`."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 1 <= seconds <= 0xFFFFFFFF:
        raise UsageError(f"result_expires={seconds!r}: give seconds, 1 or more")
    return int(seconds)


def _find_task(module: str, qualname: str) -> Any:
    """Return the task that an unpickled argument names."""
    import importlib

    found: Any = importlib.import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found
