"""Two lines per run in the log, for those who want them: they cost more than many a task."""

from __future__ import annotations

import logging

from taskmesh.core.context import CurrentTask
from taskmesh.core.hooks import Hooks, Middleware
from taskmesh.core.state import State

#: At level DEBUG it says when tasks start and end. Failures are told by the worker, whatever its level.
log = logging.getLogger("taskmesh.task")


class TaskLog(Middleware):
    """Tells when tasks start and end. Never their arguments, nor what they return."""

    def before_task(self, task: CurrentTask) -> None:
        """See `Middleware`."""
        log.debug(
            "task %s (%s) starts, attempt %d from queue %s", task.id, task.name, task.attempt, task.queue
        )

    def after_task(self, task: CurrentTask, state: State, seconds: float) -> None:
        """See `Middleware`."""
        word = "succeeded" if state is State.SUCCESS else f"ended as {state.value}"
        log.debug("task %s (%s) %s after %.6f s", task.id, task.name, word, seconds)


def tell_of_tasks(hooks: Hooks) -> None:
    """Have the runs of this child told, if anybody would hear of them."""
    if log.isEnabledFor(logging.DEBUG):
        hooks.add_all(TaskLog())
