"""Run a task inline: the same encodings as on the way to a worker and back, without the way."""

from __future__ import annotations

import contextvars
import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from taskmesh.client.eager_run import EagerRun
from taskmesh.client.options import SendOptions
from taskmesh.client.result import AsyncResult

if TYPE_CHECKING:
    from taskmesh.client.task import Task

R = TypeVar("R")


def run_eagerly(
    task: Task[..., R],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: SendOptions,
    task_id: str | None,
    *,
    keep: bool,
) -> AsyncResult[R]:
    """Run a task here, and return a handle that has the outcome.

    Arguments and value are pickled and unpickled as on the way to a worker, so that what could not be sent
    fails here too. Sending an id again that is known changes nothing, also here. What is to be tried again,
    or later, is run again at once. The soft time limit holds only where a signal can reach it: in the main thread.

    Args:
        task: What to run.
        args: Positional arguments.
        kwargs: Keyword arguments.
        options: As for sending.
        task_id: Id of the message; made if None.
        keep: Whether `mesh.result(id)` is to know the outcome.
    """
    run = EagerRun(task, args, kwargs, options, task_id, keep=keep, await_=_run_coroutine)
    while run.handle.outcome is None:
        with run.as_current():
            result = run.call()
            if inspect.iscoroutine(result):
                result = _run_coroutine(run.limited(result))
            run.returned(result)
    return run.handle


async def run_eagerly_async(
    task: Task[..., R],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: SendOptions,
    task_id: str | None,
) -> AsyncResult[R]:
    """As `run_eagerly`; a coroutine is awaited in the loop that runs already."""
    run = EagerRun(task, args, kwargs, options, task_id, keep=True, await_=_run_coroutine)
    while run.handle.outcome is None:
        with run.as_current():
            result = run.call()
            if inspect.iscoroutine(result):
                result = await run.limited(result)
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
