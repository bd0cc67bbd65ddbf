"""What a finished run is told as: tables for people, one JSON object for scripts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from taskmesh.cli.demo.alone import Alone
from taskmesh.cli.demo.tally import Failure, Tally

FAILURES_SHOWN = 20
"""Rows of the table of failures; `--json` lists all of them."""


@dataclass(frozen=True, slots=True)
class Run:
    """One finished run.

    Attributes:
        root: The tree.
        workers: Worker processes.
        start_s: From nothing to the private node and the workers ready.
        mesh_s: From sending the first task to the last result.
        tally: What the tasks returned.
        alone: The same work in one process; None where that process failed.
    """

    root: str
    workers: int
    start_s: float
    mesh_s: float
    tally: Tally
    alone: Alone | None

    @property
    def tasks_per_s(self) -> float:
        """Tasks finished per second, failed ones included."""
        totals = self.tally.totals
        return (totals.analysed + totals.failed) / self.mesh_s

    @property
    def speed_up(self) -> float | None:
        """How many times faster than one process; None where that failed."""
        return None if self.alone is None else self.alone.seconds / self.mesh_s

    @property
    def same_totals(self) -> bool | None:
        """Whether one process came to the same totals; None where it failed."""
        return None if self.alone is None else self.alone.totals == self.tally.totals


def as_json(run: Run) -> dict[str, object]:
    """Return everything known of `run`, ready for `json.dumps`."""
    return {
        "path": run.root,
        "workers": run.workers,
        "totals": run.tally.totals.as_dict(),
        "most_complex": [{"file": file, **asdict(function)} for file, function in run.tally.most_complex()],
        "most_imported": [{"module": module, "files": files} for module, files in run.tally.most_imported()],
        "failures": [asdict(failed) for failed in run.tally.failures],
        "mesh": {"start_s": run.start_s, "seconds": run.mesh_s, "tasks_per_s": run.tasks_per_s},
        "one_process": run.alone and {"seconds": run.alone.seconds, "same_totals": run.same_totals},
        "speed_up": run.speed_up,
    }


def print_tables(run: Run, console: Console) -> None:
    """Print the tables, the most important last, where the eye is."""
    for table in _tables(run):
        console.print()
        console.print(table)


def _tables(run: Run) -> Iterator[Table]:
    if run.tally.failures:
        yield _failures(run.tally.failures)
    if run.tally.most_complex():
        yield _most_complex(run.tally)
    if run.tally.most_imported():
        yield _most_imported(run.tally)
    yield _totals(run.tally)
    yield _times(run)


def _failures(failures: list[Failure]) -> Table:
    table = _table(f"Failed tasks: {len(failures):,}")
    table.add_column("file", overflow="fold")
    table.add_column("line", justify="right")
    table.add_column("error", overflow="fold")
    for failed in failures[:FAILURES_SHOWN]:
        line = "" if failed.line is None else str(failed.line)
        table.add_row(shown(failed.file), line, shown(f"{failed.error}: {failed.message}"))
    if len(failures) > FAILURES_SHOWN:
        table.caption = f"and {len(failures) - FAILURES_SHOWN:,} more; --json lists all"
    return table


def _most_complex(tally: Tally) -> Table:
    table = _table("Most complex functions")
    table.add_column("function", overflow="fold")
    table.add_column("file", overflow="fold")
    table.add_column("line", justify="right")
    table.add_column("complexity", justify="right")
    for file, function in tally.most_complex():
        table.add_row(shown(function.name), shown(file), str(function.line), f"{function.complexity:,}")
    return table


def _most_imported(tally: Tally) -> Table:
    table = _table("Most imported modules")
    table.add_column("module", overflow="fold")
    table.add_column("files", justify="right")
    for module, files in tally.most_imported():
        table.add_row(shown(module), f"{files:,}")
    return table


def _totals(tally: Tally) -> Table:
    table = _table("Totals")
    totals = tally.totals.as_dict()
    for name in totals:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_row(*(f"{value:,}" for value in totals.values()))
    return table


def _times(run: Run) -> Table:
    table = _table("The same work, twice")
    table.add_column("by")
    table.add_column("seconds", justify="right")
    table.add_column("files/s", justify="right")
    table.add_column("speed-up", justify="right")
    workers = f"{run.workers} worker{'s' if run.workers > 1 else ''}, a task a file"
    if run.alone is None:
        table.add_row("one process", "failed", "", "")
    else:
        files_per_s = run.tasks_per_s * run.mesh_s / run.alone.seconds
        table.add_row("one process", f"{run.alone.seconds:.2f}", f"{files_per_s:,.0f}", "1.00 x")
    speed_up = "" if run.speed_up is None else f"{run.speed_up:.2f} x"
    table.add_row(workers, f"{run.mesh_s:.2f}", f"{run.tasks_per_s:,.0f}", speed_up)
    table.caption = f"node and workers were ready after {run.start_s:.2f} s"
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD)


def shown(text: str) -> Text:
    """Make text from files safe for a terminal: no markup, control character or half a surrogate pair."""
    return Text("".join(map(_visible, text)))


def _visible(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode()
