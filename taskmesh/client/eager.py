"""Run a task inline: the same encodings as on the way to a worker and back, without the way."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from taskmesh.client.eager_run import EagerRun
from taskmesh.client.options import SendOptions
from taskmesh.client.result import AsyncResult
from taskmesh.core.hooks import Hooks
from taskmesh.core.observed import OwnHooks
from taskmesh.core.retry import DEFAULT, RetryPolicy

if TYPE_CHECKING:
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
    policy: RetryPolicy = DEFAULT,
    by_value: bool = False,
    keep: bool = True,
    soft_time_limit_s: float = 0.0,
) -> AsyncResult[Any]:
    """Run the function here, and return a handle that has the outcome.

    Arguments and value are pickled and unpickled as on the way to a worker, so that what could not be sent
    fails here too. Sending an id again that is known changes nothing, also here. What is to be tried again,
    or later, is run again at once.

    Args:
        portal: Of the mesh.
        name: Name of the task.
        function: What to run.
        args: Positional arguments.
        kwargs: Keyword arguments.
        options: As for sending.
        task_id: Id of the message; made if None.
        policy: How often runs that fail are repeated.
        hooks: What is called before and after it.
        own_hooks: The hooks of the task's class.
        by_value: Whether the function itself would have to travel.
        keep: Whether `mesh.result(id)` is to know the outcome.
        soft_time_limit_s: How long it may run before it is told so; 0 for ever. Only where a signal can reach it:
            in the main thread.
    """
    run = EagerRun(
        portal,
        name,
        function,
        args,
        kwargs,
        options,
        task_id,
        policy=policy,
        hooks=hooks,
        own_hooks=own_hooks,
        by_value=by_value,
        keep=keep,
        await_=_run_coroutine,
    )
    while run.handle.outcome is None:
        with run.as_current():
            result = run.call(function, soft_time_limit_s)
            if inspect.iscoroutine(result):
                result = _run_coroutine(run.limited(result, soft_time_limit_s))
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
    policy: RetryPolicy = DEFAULT,
    by_value: bool = False,
    soft_time_limit_s: float = 0.0,
) -> AsyncResult[Any]:
    """As `run_eagerly`; a coroutine is awaited in the loop that runs already."""
    run = EagerRun(
        portal,
        name,
        function,
        args,
        kwargs,
        options,
        task_id,
        policy=policy,
        hooks=hooks,
        own_hooks=own_hooks,
        by_value=by_value,
        keep=True,
        await_=_run_coroutine,
    )
    while run.handle.outcome is None:
        with run.as_current():
            result = run.call(function, soft_time_limit_s)
            if inspect.iscoroutine(result):
                result = await run.limited(result, soft_time_limit_s)
            run.returned(result)
    return run.handle


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
