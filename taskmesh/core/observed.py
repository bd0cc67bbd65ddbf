"""One run of a task as hooks see it: those of the mesh around, those of the task's own class inside."""

from __future__ import annotations

from typing import Any

from taskmesh.core.context import CurrentTask
from taskmesh.core.exception_info import ExceptionInfo
from taskmesh.core.hooks import Await, Hooks
from taskmesh.core.own_hooks import OwnHooks
from taskmesh.core.state import State


class Observed:
    """One run."""

    __slots__ = ("_args", "_await", "_error", "_hooks", "_kwargs", "_own", "_task", "_value")

    def __init__(
        self,
        hooks: Hooks,
        own: OwnHooks | None,
        task: CurrentTask,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        await_: Await,
    ) -> None:
        """Prepare.

        Args:
            hooks: Of the mesh.
            own: Of the task's class, if it has any.
            task: The message that runs.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
            await_: Runs coroutines of hooks.
        """
        self._hooks = hooks
        self._own = own
        self._task = task
        self._args = args
        self._kwargs = kwargs
        self._await = await_
        self._value: Any = None
        self._error: BaseException | None = None

    def before(self) -> None:
        """Tell that it begins."""
        self._hooks.tell("before_task", self._await, self._task)
        if self._own is not None:
            self._call(self._own.before_start, self._task.id, self._args, self._kwargs)

    def returned(self, value: Any) -> None:
        """Note what the task returned."""
        self._value = value

    def raised(self, error: BaseException) -> None:
        """Note what the task raised, or what its value led to."""
        self._error = error

    def after(self, state: State, seconds: float) -> None:
        """Tell how it ended.

        Args:
            state: Of the message now.
            seconds: How long the task took.
        """
        value, error = self._value, self._error
        self._value = self._error = None  # an error holds the frames that hold this
        if self._own is not None:
            self._tell_own(self._own, state, value, error)
        tell, task = self._hooks.tell, self._task
        if state is State.SUCCESS:
            tell("on_success", self._await, task, value)
        elif error is not None and state is State.RETRY:
            tell("on_retry", self._await, task, error)
        elif error is not None and state in (State.FAILURE, State.DEAD):
            tell("on_failure", self._await, task, error)
        tell("after_task", self._await, task, state, seconds)

    def _tell_own(self, own: OwnHooks, state: State, value: Any, error: BaseException | None) -> None:
        task_id, args, kwargs = self._task.id, self._args, self._kwargs
        einfo = None
        if error is not None:
            import traceback

            einfo = ExceptionInfo(error, "".join(traceback.format_exception(error)))
        if state is State.SUCCESS:
            self._call(own.on_success, value, task_id, args, kwargs)
        elif state is State.RETRY and error is not None:
            self._call(own.on_retry, error, task_id, args, kwargs, einfo)
        elif state in (State.FAILURE, State.DEAD) and error is not None:
            self._call(own.on_failure, error, task_id, args, kwargs, einfo)
        self._call(
            own.after_return,
            state.value,
            value if error is None else error,
            task_id,
            args,
            kwargs,
            einfo,
        )

    def _call(self, method: Any, *args: Any) -> None:
        self._hooks.call_safely(method, args, self._await)
