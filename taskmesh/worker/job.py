"""A message that is to be run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from taskmesh.codec.envelope import Envelope
from taskmesh.codec.outcome import PastAttempt
from taskmesh.core.limits import Limits
from taskmesh.core.observed import Observed
from taskmesh.core.retry import RetryPolicy


class Job(msgspec.Struct, eq=False):
    """A message that was verified and decoded, and is to be run.

    Attributes:
        task_id: Its id.
        token: Of the claim.
        envelope: What was sent.
        function: What to call.
        args: With these positional arguments.
        kwargs: And these keyword arguments.
        attempt: Which run of the retry policy this is, from 1.
        crashes: How many runs ended because their process died.
        started_ms: When it was taken up, on the node's clock.
        policy: How often and when runs that fail are repeated.
        earlier: The attempts before this one.
        limits: Time limits of its run, if it has any.
        observed: What tells hooks of its run, if any asks for it.
        trace: `traceparent` of the span in which it runs; empty if nobody traces it.
        will: What a hook wants to be known of the run should its process die in it; see `Hooks.heirs`.
    """

    is_eager: ClassVar[bool] = False

    task_id: str
    token: str
    envelope: Envelope
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    attempt: int
    crashes: int
    started_ms: int
    policy: RetryPolicy
    earlier: tuple[PastAttempt, ...]
    limits: Limits | None = None
    observed: Observed | None = None
    trace: str = ""
    will: bytes = b""

    @property
    def name(self) -> str:
        """Name of its task."""
        return self.envelope.task

    @property
    def trace_before(self) -> str:
        """`traceparent` of the attempt before; empty if there is none, or nobody traced it."""
        return self.earlier[-1].trace if self.earlier else ""

    @property
    def expires_ms(self) -> int:
        """Unix time after which it must not begin; 0 for never."""
        return self.envelope.expires_ms

    @property
    def first_due_ms(self) -> int:
        """Unix time at which it was sent, or first due if that is later."""
        due_ms = (self.envelope.extras or {}).get("due")
        return max(self.envelope.created_ms, due_ms if isinstance(due_ms, int) else 0)

    @property
    def waited_s(self) -> float:
        """How long it has waited since then; negative unless this is its first attempt."""
        if self.attempt != 1 or self.crashes:
            return -1.0
        envelope = self.envelope
        since_ms = envelope.created_ms if envelope.extras is None else self.first_due_ms
        return max(0.0, (self.started_ms - since_ms) / 1000)
