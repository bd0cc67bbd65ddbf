"""What a runner needs of others: of tasks, and of what keeps them within their limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from taskmesh.core.limits import Limits
from taskmesh.core.own_hooks import OwnHooks
from taskmesh.core.rate import Rate
from taskmesh.core.retry import RetryPolicy
from taskmesh.worker.job import Job


class TaskLike(Protocol):
    """What a runner needs of a registered task."""

    @property
    def run(self) -> Callable[..., Any]:
        """What is called with the arguments."""

    @property
    def rate_limit(self) -> Rate | None:
        """How often it may be started by the whole fleet; None for any number."""

    @property
    def own_hooks(self) -> OwnHooks | None:
        """The hooks of its class, if it has one with any."""

    @property
    def options(self) -> Any:
        """What it was given, see `TaskOptions`."""

    @property
    def is_limited(self) -> bool:
        """Whether it was given a time limit."""

    @property
    def retry_policy(self) -> RetryPolicy:
        """How often and when runs that fail are repeated."""


class GuardLike(Protocol):
    """What keeps tasks within their time limits; each kind of pool has its own."""

    def call(self, limits: Limits, job: Job) -> Any:
        """Call a job's function within its limits and return its value, that of a coroutine for a coroutine."""

    def refusal(self, limits: Limits, job: Job) -> str:
        """Return why a job cannot be kept within its limits here and must not run; empty if it can."""

    def leave_will(self, will: bytes) -> None:
        """Leave at the child's place what is to be known of the run should the process die; empty takes it back."""

    def begin(self, limits: Limits, job: Job) -> None:
        """Begin to hold a run to its hard limit; `call` does."""

    def called_off(self, job: Job) -> str | None:
        """Return who called off a run of many; None if nobody did."""

    def done(self, job: Job) -> None:
        """Take back what was begun: the run is over, and its outcome made."""


class EventsLike(Protocol):
    """What tells of runs while somebody listens."""

    @property
    def is_wanted(self) -> bool:
        """Whether anybody does."""

    def started(self, job: Job) -> None:
        """Tell that a run begins."""

    def ended(self, job: Job, letter: bytes, seconds: float, error: str = "") -> None:
        """Keep how a run ended until that is committed."""

    def not_opened(self, task_id: str, token: str, record: bytes, letter: bytes) -> None:
        """Keep how a message ended that did not run."""
