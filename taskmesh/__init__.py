"""TaskMesh: a distributed task queue that needs no server to start with, runs any callable and loses nothing.

The public names; nothing deeper is a promise. They are resolved on first use, so that importing costs nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module

from taskmesh.core.version import VERSION as _VERSION

# What type checkers take for true. Importing `typing` for it would cost more than all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from taskmesh.app import TaskMesh as TaskMesh
    from taskmesh.client.attempts import Attempt as Attempt
    from taskmesh.client.class_task import BaseTask as BaseTask
    from taskmesh.client.keys import Unique as Unique
    from taskmesh.client.result import AsyncResult as AsyncResult
    from taskmesh.client.result_set import ResultSet as ResultSet
    from taskmesh.client.signature import Signature as Signature
    from taskmesh.client.task import Task as Task
    from taskmesh.core.context import CurrentTask as CurrentTask
    from taskmesh.core.context import current_task as current_task
    from taskmesh.core.event import Event as Event
    from taskmesh.core.hooks import Middleware as Middleware
    from taskmesh.core.hooks import WorkerContext as WorkerContext
    from taskmesh.core.json_log import JsonFormatter as JsonFormatter
    from taskmesh.core.logs import TaskFilter as TaskFilter
    from taskmesh.core.logs import get_task_logger as get_task_logger
    from taskmesh.core.progress import Progress as Progress
    from taskmesh.core.state import State as State
    from taskmesh.errors import Ignore as Ignore
    from taskmesh.errors import Reject as Reject
    from taskmesh.errors import Retry as Retry
    from taskmesh.errors import Snooze as Snooze
    from taskmesh.scheduler.crontab import crontab as crontab
    from taskmesh.scheduler.every import every as every
    from taskmesh.scheduler.once import once as once

_WHERE = {
    "AsyncResult": "taskmesh.client.result",
    "Attempt": "taskmesh.client.attempts",
    "BaseTask": "taskmesh.client.class_task",
    "CurrentTask": "taskmesh.core.context",
    "Event": "taskmesh.core.event",
    "Ignore": "taskmesh.errors",
    "JsonFormatter": "taskmesh.core.json_log",
    "Middleware": "taskmesh.core.hooks",
    "Progress": "taskmesh.core.progress",
    "Reject": "taskmesh.errors",
    "ResultSet": "taskmesh.client.result_set",
    "Retry": "taskmesh.errors",
    "Signature": "taskmesh.client.signature",
    "Snooze": "taskmesh.errors",
    "State": "taskmesh.core.state",
    "Task": "taskmesh.client.task",
    "TaskFilter": "taskmesh.core.logs",
    "TaskMesh": "taskmesh.app",
    "Unique": "taskmesh.client.keys",
    "WorkerContext": "taskmesh.core.hooks",
    "crontab": "taskmesh.scheduler.crontab",
    "current_task": "taskmesh.core.context",
    "every": "taskmesh.scheduler.every",
    "get_task_logger": "taskmesh.core.logs",
    "once": "taskmesh.scheduler.once",
}

__all__ = [
    "AsyncResult",
    "Attempt",
    "BaseTask",
    "CurrentTask",
    "Event",
    "Ignore",
    "JsonFormatter",
    "Middleware",
    "Progress",
    "Reject",
    "ResultSet",
    "Retry",
    "Signature",
    "Snooze",
    "State",
    "Task",
    "TaskFilter",
    "TaskMesh",
    "Unique",
    "WorkerContext",
    "__version__",
    "crontab",
    "current_task",
    "errors",
    "every",
    "get_task_logger",
    "once",
]

__version__ = _VERSION


def __getattr__(name: str) -> object:
    if name == "errors":
        return import_module("taskmesh.errors")
    module = _WHERE.get(name)
    if module is None:
        _refuse_celerys(name)
        raise AttributeError(f"module 'taskmesh' has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def _refuse_celerys(name: str) -> None:
    """Refuse a name that Celery exports, with what there is here.

    To `from taskmesh import chain` by an `ImportError`, since Python shows nothing of an `AttributeError` there.
    """
    if name[:1] == "_":
        return  # what Python itself looks for
    instead = import_module("taskmesh.client.elsewhere_names").OF_THE_PACKAGE.get(name)
    if instead is None:
        return
    what = f"name {name!r} of Celery is not in 'taskmesh': {instead}"
    if sys._getframe(2).f_code.co_name == "_handle_fromlist":  # noqa: SLF001 - an import asks, and not hasattr()
        raise ImportError(what, name="taskmesh")
    raise AttributeError(what)


def __dir__() -> list[str]:
    return __all__
