"""Rows of cells as lines of a screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.text import Text

from taskmesh.core.printable import in_one_line

Cells = Sequence[str]
Row = tuple[Cells, str]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, its width (0: what is left), and to which side its cells go."""

    title: str
    width: int = 0
    side: Literal["left", "right"] = "right"


def table_of(
    columns: Sequence[Column], rows: Sequence[Row], width: int, most: int, chosen: int, *, is_chosen: bool
) -> list[Text]:
    """Return a title and so many rows, with the chosen one among them.

    Args:
        columns: What is in them.
        rows: The cells of each, and its style.
        width: Of the screen.
        most: How many rows fit.
        chosen: Which row is chosen.
        is_chosen: Whether this table is the one that keys are for.
    """
    first = max(0, min(chosen - most + 1, len(rows) - most))
    more = f" (+{len(rows) - most})" if len(rows) > most else ""
    titles = [column.title for column in columns]
    title = _line(columns, [titles[0] + more, *titles[1:]], width)
    title.stylize("bold cyan" if is_chosen else "cyan")
    lines = [title]
    for at, (cells, style) in list(enumerate(rows))[first : first + most]:
        line = _line(columns, cells, width, mark=">" if is_chosen and at == chosen else " ")
        line.stylize(f"{style} reverse" if is_chosen and at == chosen else style)
        lines.append(line)
    return lines


def _line(columns: Sequence[Column], cells: Cells, width: int, mark: str = " ") -> Text:
    fixed = sum(column.width + 1 for column in columns if column.width)
    left = max(8, width - fixed - 1)
    line = Text(mark)
    for column, cell in zip(columns, cells, strict=True):
        text = Text(in_one_line(cell))
        wide = column.width or left - 1
        text.truncate(wide, overflow="ellipsis")
        text.align(column.side, wide)
        line.append_text(text)
        line.append(" ")
    return line
