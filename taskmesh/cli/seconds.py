"""Options that are a length of time."""

from __future__ import annotations

from typing import Any

import click

from taskmesh.config.values import duration
from taskmesh.core.printable import shown

#: Longer than anybody waits; what is meant for the year 30 000 is a mistake.
SECONDS_MAX = 1e9
read_seconds = duration(0, SECONDS_MAX)


class Seconds(click.FloatRange):
    """Seconds, 0 or more, as everywhere else: a number, or a text such as `90s`, `1m` or `1h30m`."""

    def __init__(self) -> None:
        """Make the type."""
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a value, or fail with what is expected."""
        try:
            seconds: float = read_seconds(value)
        except ValueError as error:
            self.fail(f"{shown(value)}: {error}", param, ctx)
        return seconds
