"""What log records can tell of the task in which they were made: for handlers of the user's own as for the worker's."""

from __future__ import annotations

import logging

from taskmesh.core.context import CURRENT

#: What stands in a record's fields when no task is running.
NO_TASK = "-"

_worker = NO_TASK


def name_worker(name: str) -> None:
    """Note that this process is a child of a worker, for what is logged between tasks."""
    global _worker  # noqa: PLW0603 - a process has one worker, as it has one root logger
    _worker = name


class TaskFilter(logging.Filter):
    """Adds `task_id`, `task_name`, `attempt` and `worker` to every record. It refuses none.

    It belongs on a handler, whose format may then use them: `%(task_id)s`. Between tasks they are `-`, and
    `attempt` is 0. A record that has one of them already, from `extra=` or from another process, keeps it.
    """

    def __init__(self) -> None:
        """Make a filter, also from a configuration: `{"()": "taskmesh.TaskFilter"}`."""
        super().__init__()

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields."""
        running = CURRENT.get()
        facts = vars(record)
        if running is None:
            facts.setdefault("task_id", NO_TASK)
            facts.setdefault("task_name", NO_TASK)
            facts.setdefault("attempt", 0)
            facts.setdefault("worker", _worker)
        else:
            facts.setdefault("task_id", running.task_id)
            facts.setdefault("task_name", running.name)
            facts.setdefault("attempt", running.attempt)
            facts.setdefault("worker", running.worker)
        return True


def get_task_logger(name: str) -> logging.Logger:
    """Return `logging.getLogger(name)`: the name that Celery's users know.

    No logger of a special kind is needed: a worker's handler adds the task to what any logger says.
    """
    return logging.getLogger(name)
