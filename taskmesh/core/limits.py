"""Time limits: how long a run may take before it is told so, and before it is ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from taskmesh.errors import UsageError

#: Under which names limits travel in the extras of a message.
SOFT, HARD = "soft", "hard"
#: Nobody means a longer one.
LIMIT_S_MAX = 365 * 86_400.0


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one run, in seconds; 0 for none.

    Attributes:
        soft_s: After so long `SoftTimeLimitExceeded` is raised in the task.
        hard_s: After so long the process that runs it is ended.
    """

    soft_s: float = 0.0
    hard_s: float = 0.0

    def __bool__(self) -> bool:
        """Whether there is one."""
        return self.soft_s > 0 or self.hard_s > 0


def contradiction(soft_s: float | None, hard_s: float | None) -> str:
    """Return what is wrong with two limits that were given together; nothing if they can be."""
    if soft_s and hard_s and soft_s >= hard_s:
        return (
            f"soft_time_limit ({soft_s:g} s) must be shorter than time_limit ({hard_s:g} s): the task would be ended "
            "before it is told"
        )
    return ""


def check_limits(soft_s: float | None, hard_s: float | None) -> None:
    """Raise `UsageError` if two limits contradict each other."""
    wrong = contradiction(soft_s, hard_s)
    if wrong:
        raise UsageError(wrong)


def to_extras(soft_s: float | None, hard_s: float | None) -> dict[str, Any]:
    """Return what travels with a message; None is left out, 0 says that there is no limit."""
    given = {SOFT: soft_s, HARD: hard_s}
    return {name: value for name, value in given.items() if value is not None}


def limits_of(extras: Mapping[str, Any] | None, task: object, default: Limits) -> Limits | None:
    """Return the limits of a run: what travels with the message, before its task's own, before the worker's.

    Args:
        extras: Of the message.
        task: What the task was given, with `soft_time_limit_s` and `time_limit_s`; None for one sent by value.
        default: The worker's.
    """
    soft_s = getattr(task, "soft_time_limit_s", None)
    hard_s = getattr(task, "time_limit_s", None)
    if extras:
        soft_s = _seconds(extras.get(SOFT), soft_s)
        hard_s = _seconds(extras.get(HARD), hard_s)
    limits = Limits(
        default.soft_s if soft_s is None else soft_s, default.hard_s if hard_s is None else hard_s
    )
    return limits or None


def _seconds(value: object, otherwise: float | None) -> float | None:
    """Return a number of seconds; another release may write there what this one does not know."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= LIMIT_S_MAX:
        return float(value)
    return otherwise
