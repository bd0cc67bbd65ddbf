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
    """

    wide: RenderableType
    narrow: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Choose by the width that there is."""
        wanted = Measurement.get(console, options.update(width=console.options.size.width * 100), self.wide)
        yield self.wide if wanted.maximum <= options.max_width else self.narrow
