"""Options that are a number of seconds."""

from __future__ import annotations

import math
from typing import Any

import click


class Seconds(click.FloatRange):
    """Seconds, 0 or more; neither `nan` nor `inf`, which click takes for numbers."""

    def __init__(self) -> None:
        """Make the type."""
        super().__init__(min=0)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a value, or fail with what is expected."""
        seconds: float = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value} is no number of seconds; give one, 0 or more", param, ctx)
        return seconds
