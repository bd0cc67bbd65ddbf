"""What a task can be given about its retries: Celery's names, how each is read, and the policy that comes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from taskmesh.client.readers import flag, seconds
from taskmesh.core.retry import DEFAULT, RetryPolicy
from taskmesh.errors import UsageError

#: One class of exceptions, or several.
Errors: TypeAlias = type[BaseException] | Iterable[type[BaseException]]

_DELAY_S_MAX = 365 * 86_400.0
_BACKOFF_S = 1.0


def _seconds(name: str) -> Callable[[object], float]:
    return seconds(name, 0, _DELAY_S_MAX)


def _errors(name: str) -> Callable[[Any], tuple[type[BaseException], ...]]:
    def read(value: Any) -> tuple[type[BaseException], ...]:
        try:
            kinds = (value,) if isinstance(value, type) else tuple(value)
        except TypeError:
            kinds = (value,)
        for kind in kinds:
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                raise UsageError(f"{name}={value!r}: {kind!r} is no class of exceptions")
        return kinds

    return read


def _count(value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise UsageError(f"max_retries={value!r}: expected a whole number, 0 or more, or None for any number")


def _backoff(value: Any) -> float:
    if isinstance(value, bool):
        return _BACKOFF_S if value else 0.0
    return _seconds("retry_backoff")(value)


#: Option of a task -> the field of `RetryPolicy`, and how its value is read.
RETRY_OPTIONS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "max_retries": ("max_retries", _count),
    "default_retry_delay": ("delay_s", _seconds("default_retry_delay")),
    "autoretry_for": ("autoretry_for", _errors("autoretry_for")),
    "dont_autoretry_for": ("dont_autoretry_for", _errors("dont_autoretry_for")),
    "retry_backoff": ("backoff_s", _backoff),
    "retry_backoff_max": ("backoff_max_s", _seconds("retry_backoff_max")),
    "retry_jitter": ("jitter", flag("retry_jitter")),
    "retry_deadline": ("deadline_s", _seconds("retry_deadline")),
    "throws": ("throws", _errors("throws")),
}


def retry_policy(given: Mapping[str, Any]) -> RetryPolicy:
    """Return the policy that the options of a task ask for.

    Raises:
        UsageError: One is impossible.
    """
    fields: dict[str, Any] = {}
    for name, (field, read) in RETRY_OPTIONS.items():
        # max_retries=None says something: there is no limit
        if name in given and (given[name] is not None or name == "max_retries"):
            fields[field] = read(given[name])
    return RetryPolicy(**fields) if fields else DEFAULT
