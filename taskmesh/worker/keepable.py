"""Which time limits a pool can keep.

A call that blocks in a thread cannot be interrupted. So a soft limit of a plain function is kept in a pool of threads
or coroutines only beside a hard one, which ends the process. A worker does not start for tasks of its queues that it
could not keep within their limits. Messages of others (sent to one of its queues, or with limits of their own) it
refuses when they come.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from taskmesh.config import Settings
from taskmesh.core.limits import Limits, limits_of
from taskmesh.errors import ConfigError
from taskmesh.worker.pools import PROCESS, Pool


class Tasks(Protocol):
    """What is asked of an app."""

    @property
    def tasks(self) -> Mapping[str, Any]:
        """Its tasks by name."""

    @property
    def settings(self) -> Settings:
        """Its settings."""


def is_keepable(limits: Limits, function: Callable[..., Any]) -> bool:
    """Tell whether a pool of threads or of coroutines can keep a function within limits."""
    return not limits.soft_s or limits.hard_s > 0 or inspect.iscoroutinefunction(function)


def cannot_keep(pool: str, names: Sequence[str]) -> str:
    """Return that a kind of pool cannot keep the soft limits of some tasks, why, and what to do."""
    return (
        f"a pool of kind {pool} cannot keep the soft_time_limit of {', '.join(names)}: plain functions run in threads "
        "there, and a call that blocks in a thread cannot be interrupted. Give a time_limit as well, make them async "
        "def, or run them in a pool of processes (--pool process)"
    )


def check_limits_of_tasks(app: Tasks, default: Limits, pools: Sequence[Pool]) -> None:
    """Refuse soft limits that one of the pools cannot keep, of tasks whose queue it serves.

    Args:
        app: The app.
        default: Limits of tasks that have none of their own.
        pools: Of the worker.

    Raises:
        ConfigError: A plain function has a soft limit and no hard one.
    """
    for pool in pools:
        if pool.kind == PROCESS:
            continue
        names = [name for name in sorted(app.tasks) if not _is_kept(app, name, default, pool)]
        if names:
            raise ConfigError(cannot_keep(pool.kind, names), source="soft_time_limit")


def _is_kept(app: Tasks, name: str, default: Limits, pool: Pool) -> bool:
    task = app.tasks[name]
    limits = limits_of(None, task.options, default)
    return queue_of(app, name) not in pool.queues or limits is None or is_keepable(limits, task.run)


def queue_of(app: Tasks, name: str) -> str:
    """Return where the messages of a task go, unless a call says otherwise."""
    settings = app.settings
    queue: str = settings.route(name) or app.tasks[name].options.queue or settings.default_queue
    return queue
