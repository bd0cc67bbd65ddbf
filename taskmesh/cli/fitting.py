"""A table that gives way to a list where a terminal is too narrow for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement


@dataclass(frozen=True, slots=True)
class Fitting:
    """One of two ways to show the same.

    Attributes:
        wide: What is shown where it fits.
        narrow: What is shown instead.
        least: What must fit of the first; None for all of it.
    """

    wide: RenderableType
    narrow: RenderableType
    least: RenderableType | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Choose by the width that there is."""
        unbound = options.update(width=console.options.size.width * 100)
        wanted = Measurement.get(console, unbound, self.wide if self.least is None else self.least)
        yield self.wide if wanted.maximum <= options.max_width else self.narrow
