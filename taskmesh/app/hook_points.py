"""The decorators by which an app adds hooks to its mesh."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from taskmesh.app.wiring import Wiring
from taskmesh.client.class_task import BaseTask
from taskmesh.core.context import CurrentTask
from taskmesh.core.hooks import WorkerContext
from taskmesh.core.state import State

OfWorker = TypeVar("OfWorker", bound=Callable[[WorkerContext], Any])
BeforeTask = TypeVar("BeforeTask", bound=Callable[[CurrentTask], Any])
AfterTask = TypeVar("AfterTask", bound=Callable[[CurrentTask, State, float], Any])
OnSuccess = TypeVar("OnSuccess", bound=Callable[[CurrentTask, Any], Any])
OnError = TypeVar("OnError", bound=Callable[[CurrentTask, BaseException], Any])


class HookPoints(Wiring):
    """What a mesh offers to hook into. `Middleware` says when each is called, and what becomes of its errors."""

    @property
    def Task(self) -> type[BaseTask]:  # noqa: N802 - the name that Celery's users know
        """What class-based tasks derive from: `class Charge(mesh.Task)`. Type checkers want `BaseTask` itself."""
        return BaseTask

    def add_hooks(self, middleware: Any) -> None:
        """Add the hooks that an object has as methods: `mesh.add_hooks(Timing())`.

        Args:
            middleware: An instance of a class derived from `Middleware`.

        Raises:
            UsageError: It has none, or one whose name is mistyped.
        """
        self.hooks.add_all(middleware)

    def on_worker_start(self, function: OfWorker) -> OfWorker:
        """Call a function once per worker, before its children are forked."""
        self.hooks.add("on_worker_start", function)
        return function

    def on_worker_stop(self, function: OfWorker) -> OfWorker:
        """Call a function once per worker, after its last child has ended."""
        self.hooks.add("on_worker_stop", function)
        return function

    def on_child_start(self, function: OfWorker) -> OfWorker:
        """Call a function in each child, before its first task: to open connections, for example."""
        self.hooks.add("on_child_start", function)
        return function

    def on_child_stop(self, function: OfWorker) -> OfWorker:
        """Call a function in each child that ends in peace, after its last task."""
        self.hooks.add("on_child_stop", function)
        return function

    def before_task(self, function: BeforeTask) -> BeforeTask:
        """Call a function before each run of a task, with the message that is run."""
        self.hooks.add("before_task", function)
        return function

    def after_task(self, function: AfterTask) -> AfterTask:
        """Call a function after each run of a task, with the message, its state and how many seconds it took."""
        self.hooks.add("after_task", function)
        return function

    def on_success(self, function: OnSuccess) -> OnSuccess:
        """Call a function after each run that succeeded, with the message and what the task returned."""
        self.hooks.add("on_success", function)
        return function

    def on_failure(self, function: OnError) -> OnError:
        """Call a function after each run by which a message has failed, with the message and the error."""
        self.hooks.add("on_failure", function)
        return function

    def on_retry(self, function: OnError) -> OnError:
        """Call a function after each run that will be repeated, with the message and the error."""
        self.hooks.add("on_retry", function)
        return function
