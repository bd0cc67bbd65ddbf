"""Signature: a call that is not made yet: a task, arguments, options. It can be kept, passed on, and made later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, Unpack

from taskmesh.client.keys import call_keys
from taskmesh.client.options import CallArguments, SendOptions
from taskmesh.codec.functions import encode_function, seal_function
from taskmesh.codec.pickling import encode_call
from taskmesh.coordination.schedule import PackedCall
from taskmesh.core.call import by_name, positional
from taskmesh.errors import UsageError

if TYPE_CHECKING:
    from taskmesh.client.result import AsyncResult
    from taskmesh.client.task import Task
    from taskmesh.codec.signing import Signer

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Signature(Generic[R]):
    """A call of a task, to be made later: `add.s(2, 2)`. It does not change; what changes it returns another.

    Attributes:
        task: What is called.
        args: Positional arguments.
        kwargs: Arguments by name.
        options: How it is sent, as for `apply_async`.
        immutable: Whether arguments that are given later are left out (`si`), as results of tasks before it.
    """

    task: Task[..., R]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    options: CallArguments = field(default_factory=CallArguments)
    immutable: bool = False

    def __repr__(self) -> str:
        """Show the call as it would be written."""
        shown = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        return f"{self.task.name}({', '.join(shown)})"

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        """Make the call here and now, as if the task were a function."""
        whole = self.clone(args, kwargs)
        return self.task(*whole.args, **whole.kwargs)

    def __or__(self, other: object) -> NoReturn:
        """Refuse: there are no chains, and what Celery's users write is to say what there is instead."""
        raise UsageError(
            f"{self!r} | {other!r}: there are no chains in this version. Have the first task send the next one from "
            "its body, task.delay(...) of its result, or wait for the first: other.delay(first.get())"
        )

    def set(self, *, immutable: bool | None = None, **options: Unpack[CallArguments]) -> Signature[R]:
        """Return the same call with other options: `add.s(2, 2).set(queue="mail", countdown=10)`.

        Raises:
            UsageError: An option is unknown or impossible.
        """
        return self.clone(immutable=immutable, **options)

    def clone(
        self,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        immutable: bool | None = None,
        **options: Unpack[CallArguments],
    ) -> Signature[R]:
        """Return the call with more arguments and options.

        Args:
            args: Put in front of those that it has, as in Celery; left out if it is immutable.
            kwargs: Put over those that it has; left out if it is immutable.
            immutable: Whether further arguments are left out of what is returned.
            options: Put over those that it has.

        Raises:
            UsageError: An option is unknown or impossible.
        """
        chosen = CallArguments(**{**self.options, **options})
        if options:
            self.task.send_options(chosen)
        fixed = self.immutable if immutable is None else immutable
        if self.immutable:
            return Signature(self.task, self.args, self.kwargs, chosen, fixed)
        return Signature(
            self.task,
            (*positional(self.task.name, args), *self.args),
            {**self.kwargs, **by_name(self.task.name, kwargs)},
            chosen,
            fixed,
        )

    # -- sending ------------------------------------------------------------------

    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult[R]:
        """Send it, with further arguments in front; raises what `Task.delay` does."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: Iterable[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        task_id: str | None = None,
        **options: Unpack[CallArguments],
    ) -> AsyncResult[R]:
        """Send it, with further arguments and options; raises what `Task.apply_async` does."""
        whole = self.clone(args, kwargs, **options)
        return self.task.apply_async(whole.args, dict(whole.kwargs), task_id=task_id, **whole.options)

    async def adelay(self, *args: Any, **kwargs: Any) -> AsyncResult[R]:
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
        whole = self.clone(args, kwargs, **options)
        return await self.task.aapply_async(whole.args, dict(whole.kwargs), task_id=task_id, **whole.options)

    def apply(self) -> AsyncResult[R]:
        """Make the call here and now, and return a handle that has the outcome already."""
        return self.task.apply(self.args, dict(self.kwargs))


def pack_signature(signature: Signature[Any], functions: Signer) -> PackedCall:
    """Return a call as a schedule keeps it: whoever fires it neither has nor needs the code.

    Args:
        signature: The call.
        functions: Signs a function that travels by value.

    Raises:
        WrongArguments: The function does not take these arguments.
        NotPicklable, PayloadTooLarge: They cannot be sent.
        UsageError: An option of it means nothing for a schedule.
    """
    task = signature.task
    settings = task.mesh.settings
    args, kwargs = task.checked(signature.args, dict(signature.kwargs))
    options = task.send_options(signature.options)
    encoding, body, clear_size = encode_call(
        args,
        kwargs,
        max_size=settings.max_message_size,
        compress_over=settings.compress_over,
        main=task.main,
    )
    function, blob = "", b""
    if task.by_value:
        function, clear = encode_function(task.cargo, max_size=settings.max_message_size)
        blob = seal_function(clear, functions)
    return PackedCall(
        task=task.name,
        body=body,
        encoding=encoding,
        clear_size=clear_size,
        function=function,
        blob=blob,
        options={**_packed_options(options), **_packed_keys(task, args, kwargs, options)},
        headers=options.headers,
    )


def _packed_options(options: SendOptions) -> dict[str, Any]:
    """Return how each firing is sent, as plain data.

    Raises:
        UsageError: An option means nothing for a schedule.
    """
    if options.eta_ms is not None:
        raise UsageError(
            "eta= means nothing for a schedule: the schedule says when it runs; countdown= delays it"
        )
    if options.idempotency_key is not None:
        raise UsageError(
            "idempotency_key= means nothing for a schedule: all its firings but the first would be left out"
        )
    known: dict[str, Any] = {
        "queue": options.queue,
        "priority": options.priority,
        "result_ttl_s": options.result_ttl_s,
        "ignore_result": options.ignore_result,
        "at_most_once": options.at_most_once,
    }
    for name in ("extras", "expires_s", "expires_at_ms", "countdown_s"):
        if value := getattr(options, name):
            known[name] = value
    return known


def _packed_keys(
    task: Task[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], options: SendOptions
) -> dict[str, Any]:
    """Return the keys of each firing, which are those of the call."""
    if not options.has_keys:
        return {}
    keys = call_keys(task.name, task.run, args, kwargs, options, None)
    return {"keys": list(keys.wire), "extras": {**(options.extras or {}), "keys": keys.told}}
