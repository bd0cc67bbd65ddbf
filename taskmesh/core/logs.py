"""What log records can tell of the task in which they were made: for handlers of the user's own as for the worker's."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable

from taskmesh.core.context import CURRENT
from taskmesh.core.printable import shown

#: What stands in a record's fields when no task is running.
NO_TASK = "-"

_worker = NO_TASK
_trace: Callable[[], tuple[str, str] | None] | None = None


def name_worker(name: str) -> None:
    """Note that this process is a child of a worker, for what is logged between tasks."""
    global _worker  # noqa: PLW0603 - a process has one worker, as it has one root logger
    _worker = name


def name_trace(look: Callable[[], tuple[str, str] | None] | None) -> None:
    """Have records tell of the trace in which they are made.

    Args:
        look: Returns the ids of the current trace and span, in hexadecimal digits; None if there is none.
    """
    global _trace  # noqa: PLW0603 - as above
    _trace = look


def add_facts(record: logging.LogRecord) -> None:
    """Add to a record what it lacks of the task in which it was made."""
    running = CURRENT.get()
    facts = vars(record)
    if running is None:
        facts.setdefault("task_id", NO_TASK)
        facts.setdefault("task_name", NO_TASK)
        facts.setdefault("queue", NO_TASK)
        facts.setdefault("attempt", 0)
        facts.setdefault("worker", _worker)
    else:
        facts.setdefault("task_id", running.task_id)
        facts.setdefault("task_name", running.name)
        facts.setdefault("queue", running.queue)
        facts.setdefault("attempt", running.attempt)
        facts.setdefault("worker", running.worker)
    if _trace is not None and "trace_id" not in facts:
        found = _trace()
        if found is not None:
            facts["trace_id"], facts["span_id"] = found


def without_arguments(record: logging.LogRecord, error: Exception) -> logging.LogRecord:
    """Return a record that can be told, of one whose message cannot be put together: its text, where, and why.

    `logging` would print a traceback to standard error instead, with the arguments as they are.

    Args:
        record: It is left as it is.
        error: Why its message cannot be put together.
    """
    told = copy.copy(record)
    text = record.msg if isinstance(record.msg, str) else shown(record.msg)
    told.msg = (
        f"{text} [its arguments cannot be told: {type(error).__name__}, {record.pathname}:{record.lineno}]"
    )
    told.args = ()
    return told


class TaskFilter(logging.Filter):
    """Adds `task_id`, `task_name`, `queue`, `attempt` and `worker` to every record. It refuses none.

    It belongs on a handler, whose format may then use them: `%(task_id)s`. Between tasks they are `-`, and
    `attempt` is 0. A record that has one of them already, from `extra=` or from another process, keeps it. Where runs
    are traced, it adds `trace_id` and `span_id`.
    """

    def __init__(self) -> None:
        """Make a filter, also from a configuration: `{"()": "taskmesh.TaskFilter"}`."""
        super().__init__()

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields."""
        add_facts(record)
        return True


def get_task_logger(name: str) -> logging.Logger:
    """Return `logging.getLogger(name)`: the name that Celery's users know.

    No logger of a special kind is needed: a worker's handler adds the task to what any logger says.
    """
    return logging.getLogger(name)
