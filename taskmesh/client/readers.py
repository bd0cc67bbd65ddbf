"""Readers of options: each returns the value as it is used, or raises `UsageError` with the option's name."""

from __future__ import annotations

from collections.abc import Callable

from taskmesh.config.values import duration
from taskmesh.core.printable import shown
from taskmesh.errors import UsageError


def flag(name: str) -> Callable[[object], bool]:
    """Return a reader of an option that is True or False."""

    def read(value: object) -> bool:
        if isinstance(value, bool):
            return value
        raise UsageError(f"{name}={value!r}: expected True or False")

    return read


def seconds(name: str, at_least: float, at_most: float) -> Callable[[object], float]:
    """Return a reader of an option that is a number of seconds, a timedelta or a text such as `10m`."""
    read_duration = duration(at_least, at_most)

    def read(value: object) -> float:
        try:
            found: float = read_duration(value)
        except ValueError as error:
            raise UsageError(f"{name}={shown(value)}: {error}") from None
        return found

    return read
