"""When a message is tried again, and whether at all. Time and chance are arguments."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from taskmesh.core.rate import Rate

#: Classes of exceptions.
Kinds: TypeAlias = tuple[type[BaseException], ...]

#: Doublings after which a delay grows no more: 2**40 s are 35,000 years.
_DOUBLINGS_MAX = 40


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when the runs of a task that fail are repeated.

    Attributes:
        max_retries: How many retries follow the first attempt at most; None for any number.
        delay_s: How long a retry waits that nothing else says the delay of.
        autoretry_for: Errors after which a message is tried again without being asked.
        dont_autoretry_for: Errors among those after which it is not.
        backoff_s: Delay before the first retry, which each further one doubles; 0 for always `delay_s`.
        backoff_max_s: Delay beyond which it does not grow.
        jitter: Whether a backed-off delay is drawn between 0 and what it would be.
        deadline_s: How long after the message was due its last attempt may begin; None for ever.
        throws: Errors that are expected: they are logged without their traceback.
    """

    max_retries: int | None = 3
    delay_s: float = 180.0
    autoretry_for: Kinds = ()
    dont_autoretry_for: Kinds = ()
    backoff_s: float = 0.0
    backoff_max_s: float = 600.0
    jitter: bool = True
    deadline_s: float | None = None
    throws: Kinds = ()

    def asks_for(self, error: BaseException) -> bool:
        """Tell whether a message is tried again after this error without being asked."""
        return isinstance(error, self.autoretry_for) and not isinstance(error, self.dont_autoretry_for)

    def wait_s(self, retries: int, chance: Callable[[], float]) -> float:
        """Return how long the next retry waits.

        Args:
            retries: How many there have been.
            chance: Returns a number from 0 to 1, evenly.
        """
        if not self.backoff_s:
            return self.delay_s
        wait_s = min(self.backoff_max_s, self.backoff_s * 2.0 ** min(retries, _DOUBLINGS_MAX))
        return wait_s * chance() if self.jitter else wait_s

    def last_ms(self, due_ms: int, expires_ms: int) -> int:
        """Return the Unix time at which no attempt may begin any more; 0 for never.

        Args:
            due_ms: When the message was sent, or first due if that is later.
            expires_ms: Until when it may begin at all; 0 for ever.
        """
        moments = [expires_ms] if expires_ms else []
        if self.deadline_s is not None:
            moments.append(due_ms + math.ceil(self.deadline_s * 1000))
        return min(moments, default=0)


DEFAULT = RetryPolicy()


class Carried:
    """A function that travels by value, with what no worker knows by the name of its task.

    They are pickled together: a class of errors that goes by value is then the same one in both.

    Attributes:
        run: The function.
        policy: How often and when runs that fail are repeated.
        rate: How often it may be started; None for any number.
    """

    def __init__(self, run: Callable[..., Any], policy: RetryPolicy, rate: Rate | None = None) -> None:
        self.run = run
        self.policy = policy
        self.rate = rate

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.run(*args, **kwargs)


def next_due_ms(
    policy: RetryPolicy,
    *,
    retries: int,
    now_ms: int,
    last_ms: int,
    chance: Callable[[], float],
    max_retries: int | None = None,
    countdown_s: float | None = None,
    eta_ms: int | None = None,
) -> int | None:
    """Return when a message may run again; None when it may not: its retries or its time are used up.

    Args:
        policy: Of its task.
        retries: How many there have been.
        now_ms: The time.
        last_ms: As `RetryPolicy.last_ms` returns it.
        chance: Returns a number from 0 to 1, evenly.
        max_retries: Counts before the policy's; None leaves it to that.
        countdown_s: Counts before the policy's delay.
        eta_ms: Unix time; counts before both.
    """
    most = policy.max_retries if max_retries is None else max_retries
    if most is not None and retries >= most:
        return None
    if eta_ms is not None:
        due_ms = max(now_ms, eta_ms)
    else:
        wait_s = policy.wait_s(retries, chance) if countdown_s is None else countdown_s
        due_ms = now_ms + math.ceil(max(0.0, wait_s) * 1000)
    return None if last_ms and due_ms >= last_ms else due_ms
