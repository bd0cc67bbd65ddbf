"""Showing how far the work is: a live bar on a terminal, a few plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

PLAIN_LINES = 10
"""Lines that a whole run prints where there is no terminal."""


class _Rate(ProgressColumn):
    """Files per second since the start of the bar."""

    def render(self, task: Task) -> Text:
        elapsed_s = task.finished_time if task.finished else task.elapsed
        return Text(f"{task.completed / elapsed_s:,.0f}/s" if elapsed_s else "", style="progress.percentage")


@contextmanager
def showing(console: Console, title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress towards `total` while the block runs.

    Yields:
        A function to call with the number of files done so far.
    """
    if console.is_terminal and not console.is_dumb_terminal:
        with _bar(console) as bar:
            task = bar.add_task(title, total=total)
            yield lambda done: bar.update(task, completed=done)
    else:
        yield _lines(console, title, total)


def _bar(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console)


def _lines(console: Console, title: str, total: int) -> Callable[[int], None]:
    shown = 0

    def show(done: int) -> None:
        nonlocal shown
        tenth = done * PLAIN_LINES // total
        if tenth > shown:
            shown = tenth
            console.print(f"{title}: {done} of {total}", markup=False, highlight=False, soft_wrap=True)

    return show
