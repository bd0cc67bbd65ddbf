"""The hooks of a class-based task, with Celery's names and arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskmesh.core.exception_info import ExceptionInfo

OWN_HOOKS = ("before_start", "on_success", "on_failure", "on_retry", "after_return")


class OwnHooks:
    """What is called around the runs of one task; a class defines those that it needs."""

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> Any:
        """Before each run."""

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> Any:
        """After a run that succeeded, with what it returned."""

    def on_failure(
        self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: ExceptionInfo
    ) -> Any:
        """After a run by which the message has failed for good."""

    def on_retry(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: ExceptionInfo) -> Any:
        """After a run that will be repeated."""

    def after_return(
        self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: ExceptionInfo | None
    ) -> Any:
        """After each run, with the message's state, and what it returned or raised."""
