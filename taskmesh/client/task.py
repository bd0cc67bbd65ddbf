"""Task: a function that can be sent."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime, timedelta
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, Unpack

from taskmesh.client.arguments import Arguments
from taskmesh.client.hints import HintingTask
from taskmesh.client.host import Host
from taskmesh.client.meshes import task_named
from taskmesh.client.options import CallArguments, SendOptions, TaskOptions, call_options
from taskmesh.client.result import AsyncResult
from taskmesh.client.spans import in_span, many_in_span
from taskmesh.codec.functions import function_name
from taskmesh.core.call import by_name, positional
from taskmesh.core.context import CURRENT, current_task
from taskmesh.core.limits import HARD, SOFT, Limits, check_limits, limits_of, to_extras
from taskmesh.core.naming import MAIN, is_importable, module_name
from taskmesh.core.retry import DEFAULT, Carried, RetryPolicy
from taskmesh.errors import MaxRetriesExceededError, Retry, UsageError

if TYPE_CHECKING:
    from taskmesh.client.result_set import ResultSet
    from taskmesh.client.signature import Signature
    from taskmesh.core.own_hooks import OwnHooks
    from taskmesh.core.request import Request

P = ParamSpec("P")
R = TypeVar("R")


class Task(HintingTask, Generic[P, R]):
    """A function that workers run when it is sent, and that runs here when it is called.

    Attributes:
        name: `module.qualname`; how workers find it.
        function: The function itself.
        run: What is called with the arguments: the function; given the task itself first, if it is bound.
        main: What workers call the main script, if the task stands in there.
        is_limited: Whether it was given a time limit.
    """

    MaxRetriesExceededError = MaxRetriesExceededError

    def __init__(
        self,
        mesh: Host,
        function: Callable[P, R],
        name: str,
        options: TaskOptions,
        *,
        by_value: bool | None = None,
    ) -> None:
        """Make a task; `@mesh.task` does.

        Args:
            mesh: Whose.
            function: The function.
            name: How workers find it, or for people if it travels by value.
            options: For all its messages.
            by_value: Whether the function travels with its messages; if not said, whether workers could not
                import it.
        """
        self.mesh = mesh
        self.function = function
        self.name = name
        self.options = options
        self.is_limited = options.soft_time_limit_s is not None or options.time_limit_s is not None
        #: How often and when runs that fail are repeated.
        self.retry_policy: RetryPolicy = options.retry
        self.rate_limit = options.rate_limit
        self.run: Callable[P, R] = function
        self.bind_to(self)
        self.__name__ = getattr(function, "__name__", name)
        self.__qualname__ = getattr(function, "__qualname__", name)
        self.__doc__ = function.__doc__
        self.__module__ = getattr(function, "__module__", None) or ""
        self.__wrapped__ = function
        self._defaults: SendOptions | None = None
        #: Of the class that the task was made of, if it was.
        self.instance: Any = None
        #: The same, if that has hooks.
        self.own_hooks: OwnHooks | None = None
        self._arguments: Arguments | None = None
        self._by_value = by_value if by_value is not None else not is_importable(function)
        self.main = module_name(function) if self.__module__ in MAIN and not self._by_value else ""

    def bind_to(self, first: Any) -> None:
        """Give this to the function as its first argument, if the task is bound."""
        if self.options.bind:
            self.run = update_wrapper(partial(self.function, first), self.function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now, as if it were not a task."""
        return self.run(*args, **kwargs)

    def __repr__(self) -> str:
        """Show the task's name and mesh."""
        return f"<Task {self.name} of mesh {self.mesh.name!r}>"

    def __reduce__(self) -> Any:
        """Pickle by name, so that a task may be an argument of another, or be used by a function sent by value."""
        if self._by_value:
            return _by_value_task, (self.mesh, self.function, self.name, self.options)
        return task_named, (self.mesh.name, self.name, module_name(self.function))

    # -- sending ------------------------------------------------------------------

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Send a message to run the function with these arguments, and return a handle on it.

        Returns when the message is recorded.

        Raises:
            SendRejected: It is certainly not recorded. `QueueFull` when the node's memory is.
            SendUnknown: It may be recorded.
            WrongArguments: The function does not take these arguments (a `TypeError`).
            NotPicklable, PayloadTooLarge: The arguments cannot be sent.
        """
        takes = self._arguments or self._read_signature()
        if kwargs or not takes.least <= len(args) <= takes.most:
            takes.check(args, kwargs)
        return self.send(args, kwargs, self._defaults or self._default_options(), None)

    def apply_async(
        self,
        args: Iterable[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        task_id: str | None = None,
        **options: Unpack[CallArguments],
    ) -> AsyncResult[R]:
        """Send a message with options.

        Args:
            args: Positional arguments.
            kwargs: Keyword arguments.
            task_id: The message's id, 1 to 200 printable ASCII characters; made if not given. Sending an id
                again that is known changes nothing.
            options: See `CallArguments`: queue, priority, countdown, eta, expires and more.

        Raises:
            As `delay`, and `InvalidTaskId`, `UsageError` for options that cannot be.
        """
        args, kwargs = self.checked(args, kwargs)
        return self.send(args, kwargs, self.send_options(options), task_id)

    def send(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: SendOptions,
        task_id: str | None,
        before_sent: Callable[[AsyncResult[R]], None] | None = None,
    ) -> AsyncResult[R]:
        """Send a message; `delay` and `apply_async` do.

        Args:
            args: Positional arguments.
            kwargs: Keyword arguments.
            options: How it is sent.
            task_id: Its id; made if None.
            before_sent: Called with the handle before the message is sent.
        """
        mesh = self.mesh
        if mesh.spans is not None and not options.in_span:
            again = lambda told: self.send(args, kwargs, told, task_id, before_sent)  # noqa: E731 - in_span sends
            return in_span(mesh.spans, self.name, options, again)
        if mesh.eager:
            return self._run_here(args, kwargs, options, task_id, keep=True)
        portal = mesh.portal
        if portal.link.meta is None:
            portal.open_to_send()
        function, functions = "", None
        if self._by_value:
            _, function, blob = portal.sender.pack_function(self.cargo)
            functions = {function.encode(): blob}
        message = portal.sender.build(
            self.name,
            args,
            kwargs,
            options,
            task_id=task_id,
            function=function,
            main=self.main,
            target=self.run,
        )
        inbox = portal.inbox
        handle: AsyncResult[R] = AsyncResult(
            portal, message.task_id.decode(), self.name, round_=inbox.round, sent_here=True
        )
        inbox.expect(handle)
        if before_sent is not None:
            before_sent(handle)
        portal.sender.send_one(message, functions, handle)
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
        **options: Unpack[CallArguments],
    ) -> AsyncResult[R]:
        """As `apply_async`, in an event loop."""
        from taskmesh.client.async_send import send_async

        args, kwargs = self.checked(args, kwargs)
        return await send_async(self, args, kwargs, self.send_options(options), task_id)

    def map(self, items: Iterable[Any], **options: Unpack[CallArguments]) -> ResultSet[R]:
        """Send one message per item, each with the item as its only argument, in few round trips.

        Args:
            items: Any number.
            options: For each of them, as for `apply_async`.

        Raises:
            BatchError: Some were not accepted.
            WrongArguments: The function takes more arguments than one, or none.
            UsageError: An option cannot be.
        """
        return self.starmap(((item,) for item in items), **options)

    def starmap(self, calls: Iterable[Iterable[Any]], **options: Unpack[CallArguments]) -> ResultSet[R]:
        """Send one message per tuple of positional arguments, in few round trips.

        Args:
            calls: Any number.
            options: For each of them, as for `apply_async`.

        Raises:
            BatchError: Some were not accepted.
            WrongArguments: The function does not take one of them; some before it may have been sent.
            UsageError: An option cannot be.
        """
        chosen = self.send_options(options)
        takes = self._arguments or self._read_signature()
        checked = map(takes.checked, calls)
        if self.mesh.spans is None:
            return self._send_all(checked, chosen)
        return many_in_span(self.mesh.spans, self.name, chosen, partial(self._send_all, checked))

    def _send_all(self, calls: Iterable[tuple[Any, ...]], options: SendOptions) -> ResultSet[R]:
        from taskmesh.client.result_set import ResultSet

        mesh = self.mesh
        if mesh.eager:
            return ResultSet(
                [self._run_here(call, {}, options, None, keep=True) for call in calls], mesh.portal
            )
        from taskmesh.client.bulk import send_all

        portal = mesh.portal
        function = self.cargo if self._by_value else None
        return ResultSet(
            send_all(portal, self.name, calls, options, function, main=self.main, target=self.run), portal
        )

    def apply(self, args: Iterable[Any] = (), kwargs: dict[str, Any] | None = None) -> AsyncResult[R]:
        """Run the function here and now, and return a handle that has the outcome already."""
        options = self._defaults or self._default_options()
        return self._run_here(
            positional(self.name, args), by_name(self.name, kwargs), options, None, keep=self.mesh.eager
        )

    def _run_here(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: SendOptions,
        task_id: str | None,
        *,
        keep: bool,
    ) -> AsyncResult[R]:
        # most callers never run a task themselves: importing it costs them nothing
        from taskmesh.client.eager import run_eagerly

        return run_eagerly(self, args, kwargs, options, task_id, keep=keep)

    # -- calls that are made later ------------------------------------------------

    def s(self, *args: Any, **kwargs: Any) -> Signature[R]:
        """Return a call of the task that is made later: `add.s(2, 2)`; further arguments may be given then."""
        return self.signature(args, kwargs)

    def si(self, *args: Any, **kwargs: Any) -> Signature[R]:
        """As `s`, of a call that leaves out arguments which are given later."""
        return self.signature(args, kwargs, immutable=True)

    def signature(
        self,
        args: Iterable[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        immutable: bool = False,
        **options: Unpack[CallArguments],
    ) -> Signature[R]:
        """Return a call of the task that is made later, with options as for `apply_async`.

        Raises:
            UsageError: An option is unknown or impossible.
        """
        from taskmesh.client.signature import Signature

        return Signature(self).clone(args, kwargs, immutable=immutable, **options)

    # -- while it runs ------------------------------------------------------------

    @property
    def request(self) -> Request:
        """The message that it runs for; as Celery's `self.request`."""
        from taskmesh.core.request import request_of

        return request_of(self.name)

    def retry(
        self,
        args: Iterable[Any] | None = None,
        kwargs: dict[str, Any] | None = None,
        exc: BaseException | None = None,
        throw: bool = True,  # noqa: FBT001, FBT002 - as in Celery
        eta: datetime | None = None,
        countdown: float | timedelta | None = None,
        max_retries: int | None = None,
        queue: str | None = None,
        priority: int | None = None,
    ) -> Retry:
        """Have the message run again later, under the same id; this attempt ends here, for it raises `Retry`.

        In a plain call, with no message behind it, `exc` or the error at hand is raised instead.

        Args:
            args: New positional arguments; those of now if not given.
            kwargs: New keyword arguments; those of now if not given.
            exc: The error because of which; raised instead when the retries are used up.
            throw: False returns the `Retry`, for the task to raise it.
            eta: The moment before which it does not run: a datetime with its zone.
            countdown: How long it waits; the task's `retry_backoff` or `default_retry_delay` if neither is given.
            max_retries: How many retries there may be, instead of the task's own number.
            queue: Where it waits from now on, for a worker that serves it; where it was if not given.
            priority: From now on, 0 to 9; that of before if not given.

        Raises:
            Retry: Always, unless the retries or their time are used up.
            MaxRetriesExceededError: They are, and no `exc` was given.
        """
        running = CURRENT.get()
        if running is None or running.name != self.name:
            raise exc or sys.exception() or Retry(f"{self.name} can be tried again, were it a message")
        again = running.retrier.retry(
            running.job,
            args=args,
            kwargs=kwargs,
            exc=exc,
            eta=eta,
            countdown=countdown,
            max_retries=max_retries,
            queue=queue,
            priority=priority,
        )
        if throw:
            raise again
        return again

    def update_state(self, task_id: str | None = None, state: str | None = None, meta: object = None) -> None:
        """Show callers a state of your own, and facts, as long as it runs; see `CurrentTask.update_state`.

        In a plain call, with no message behind it, nobody is shown anything.

        Args:
            task_id: For Celery's sake: the id of the message that runs, if any is given.
            state: A word such as `PROGRESS`; None leaves it as it is.
            meta: Plain data, 8 KiB at most; None leaves it as it is.

        Raises:
            UsageError: Another message is meant, or the word cannot be shown.
            NotPicklable, PayloadTooLarge: The facts are no plain data, or too large.
        """
        running = CURRENT.get()
        if running is None or running.name != self.name:
            return
        if task_id not in (None, running.task_id):
            raise UsageError(
                f"update_state(task_id={task_id!r}): a task can show a state of the message that it runs for only, "
                f"{running.task_id}"
            )
        current_task().update_state(state, meta)

    @property
    def default_retry_delay(self) -> float:
        """How long a retry waits that nothing else says the delay of, in seconds."""
        return self.options.retry.delay_s

    @property
    def max_retries(self) -> int | None:
        """How many retries there are at most; None for any number."""
        return self.options.retry.max_retries

    def soft_time_limit_s(self, options: SendOptions) -> float:
        """Return how long a run here may take before it is told so; 0 for ever."""
        settings = self.mesh.settings
        own = None if self._by_value else self.options
        limits = limits_of(options.extras, own, Limits(settings.soft_time_limit, settings.time_limit))
        return limits.soft_s if limits is not None else 0.0

    # -- arguments ----------------------------------------------------------------

    def _read_signature(self) -> Arguments:
        """Return what the function can be called with; read once, when it is first asked for."""
        self._arguments = Arguments(self.name, self.run if self.options.typing else None)
        return self._arguments

    def checked(
        self, args: Iterable[Any], kwargs: dict[str, Any] | None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return arguments as they are sent, or raise `WrongArguments`."""
        args, kwargs = positional(self.name, args), by_name(self.name, kwargs)
        (self._arguments or self._read_signature()).check(args, kwargs)
        return args, kwargs

    # -- options ------------------------------------------------------------------

    @property
    def by_value(self) -> bool:
        """Whether the function itself travels with its messages, since no worker could import it."""
        return self._by_value

    @property
    def cargo(self) -> Callable[..., Any]:
        """What travels with its messages, if it travels by value."""
        policy = self.options.retry
        rate = self.options.rate_limit
        return self.run if policy is DEFAULT and rate is None else Carried(self.run, policy, rate)

    def _default_options(self) -> SendOptions:
        settings, own = self.mesh.settings, self.options
        expires_s = own.result_expires_s
        self._defaults = SendOptions(
            queue=settings.route(self.name) or own.queue or settings.default_queue,
            ignore_result=own.ignore_result,
            result_ttl_s=int(settings.result_expires if expires_s is None else expires_s),
            priority=own.priority,
            expires_s=own.expires_s,
            at_most_once=own.at_most_once,
            unique=own.unique,
            sequence_key=own.sequence_key,
            # no worker knows a task that travels by value
            extras=(to_extras(own.soft_time_limit_s, own.time_limit_s) or None) if self._by_value else None,
        )
        return self._defaults

    def send_options(self, given: CallArguments) -> SendOptions:
        """Return the task's options with those of one call in front.

        Raises:
            UsageError: An option of the call is unknown or impossible.
        """
        options = call_options(self._defaults or self._default_options(), given)
        if options.extras:
            own = self.options
            check_limits(
                options.extras.get(SOFT, own.soft_time_limit_s), options.extras.get(HARD, own.time_limit_s)
            )
        return options


class AsyncTask(Task[P, R]):
    """A task whose function is `async def`: calling it gives the coroutine, sending it a handle on the value."""

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:  # type: ignore[override]
            """Return the coroutine, as if it were not a task."""


def callable_task(mesh: Host, function: Callable[..., Any]) -> Task[..., Any]:
    """Return a task of any callable: itself if it is one, else one that travels by value."""
    if isinstance(function, Task):
        return function
    if not callable(function):
        raise UsageError(f"only a callable can be sent, not {function!r}")
    return Task(mesh, function, function_name(function), TaskOptions(), by_value=True)


def _by_value_task(mesh: Host, function: Callable[..., Any], name: str, options: TaskOptions) -> Any:
    """Return the task that unpickling makes anew: no module of this process has it."""
    return Task(mesh, function, name, options, by_value=True)
