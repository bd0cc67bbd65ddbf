"""Sending by name, for callers that do not have the code of the tasks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Never, Unpack

from taskmesh.app.wiring import Wiring
from taskmesh.client.host import Host
from taskmesh.client.options import CallArguments, TaskOptions
from taskmesh.client.result import AsyncResult
from taskmesh.client.task import Task
from taskmesh.core.naming import check_task_name
from taskmesh.errors import UnknownTask


class ByName(Wiring):
    """What a mesh offers to who knows the names of its tasks only."""

    def send_task(
        self,
        name: str,
        args: Iterable[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        task_id: str | None = None,
        **options: Unpack[CallArguments],
    ) -> AsyncResult[Any]:
        """Send a message to a task by its name; this process need not have its code.

        So nothing is known of the arguments that it takes, nor of its options: say the queue if it has one of its own.
        A task that this mesh knows here is sent as by `Task.apply_async`.

        Args:
            name: Name of the task: `module.function`, or what it was given as name.
            args: Positional arguments.
            kwargs: Keyword arguments.
            task_id: The message's id; made if not given.
            options: See `CallArguments`: queue, priority, countdown, eta, expires and more.

        Raises:
            As `Task.apply_async`. With `eager`, `UnknownTask`, if the code is not here.
        """
        return task_by_name(self, name).apply_async(args, kwargs, task_id=task_id, **options)

    async def asend_task(
        self,
        name: str,
        args: Iterable[Any] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        task_id: str | None = None,
        **options: Unpack[CallArguments],
    ) -> AsyncResult[Any]:
        """As `send_task`, in an event loop."""
        return await task_by_name(self, name).aapply_async(args, kwargs, task_id=task_id, **options)


def task_by_name(mesh: Host, name: str) -> Task[..., Any]:
    """Return a task that can be sent by its name alone; the one that is known here, if it is."""
    check_task_name(name)
    known: Task[..., Any] | None = mesh.tasks.get(name)
    if known is not None:
        return known
    if mesh.eager:
        raise UnknownTask(
            f"mesh {mesh.name!r} runs its tasks inline (eager) and knows no task {name!r} here; import its module first"
        )
    return Task(mesh, _elsewhere, name, TaskOptions(typing=False), by_value=False)


def _elsewhere(*args: Any, **kwargs: Any) -> Never:
    """Stand for a function whose code is not here; a worker has it."""
    raise UnknownTask(f"the code of this task is not here; given {len(args)} arguments and {sorted(kwargs)}")
