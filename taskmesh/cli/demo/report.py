"""What a finished run is told as: tables for people, one JSON object for scripts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from rich.table import Table

from taskmesh.cli.demo.alone import Alone
from taskmesh.cli.demo.loss import Loss
from taskmesh.cli.demo.tally import Failure, Tally
from taskmesh.cli.output import table

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
        nodes: Private nodes.
        loss: What came of the node that was killed; None if none was.
    """

    root: str
    workers: int
    start_s: float
    mesh_s: float
    tally: Tally
    alone: Alone | None
    nodes: int = 1
    loss: Loss | None = None

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
        "nodes": run.nodes,
        "loss": run.loss and {**asdict(run.loss), "failover_s": run.loss.failover_s},
        "totals": run.tally.totals.as_dict(),
        "most_complex": [{"file": file, **asdict(function)} for file, function in run.tally.most_complex()],
        "most_imported": [{"module": module, "files": files} for module, files in run.tally.most_imported()],
        "failures": [asdict(failed) for failed in run.tally.failures],
        "mesh": {"start_s": run.start_s, "seconds": run.mesh_s, "tasks_per_s": run.tasks_per_s},
        "one_process": run.alone and {"seconds": run.alone.seconds, "same_totals": run.same_totals},
        "speed_up": run.speed_up,
    }


def tables(run: Run) -> Iterator[Table]:
    """Yield the tables, the most important last, where the eye is."""
    if run.tally.failures:
        yield _failures(run.tally.failures)
    if run.tally.most_complex():
        yield _most_complex(run.tally)
    if run.tally.most_imported():
        yield _most_imported(run.tally)
    yield _totals(run.tally)
    if run.loss is not None:
        yield _story(run.loss)
    yield _times(run)


def _failures(failures: list[Failure]) -> Table:
    rows = [
        (failed.file, "" if failed.line is None else str(failed.line), f"{failed.error}: {failed.message}")
        for failed in failures[:FAILURES_SHOWN]
    ]
    made = table(f"Failed tasks: {len(failures):,}", ["file", "line", "error"], rows, numbers=["line"])
    if len(failures) > FAILURES_SHOWN:
        made.caption = f"and {len(failures) - FAILURES_SHOWN:,} more; --json lists all"
        made.caption_justify = "left"
    return made


def _most_complex(tally: Tally) -> Table:
    rows = [
        (function.name, file, str(function.line), function.complexity)
        for file, function in tally.most_complex()
    ]
    columns = ["function", "file", "line", "complexity"]
    return table("Most complex functions", columns, rows, numbers=["line", "complexity"])


def _most_imported(tally: Tally) -> Table:
    return table("Most imported modules", ["module", "files"], tally.most_imported(), numbers=["files"])


def _totals(tally: Tally) -> Table:
    totals = tally.totals.as_dict()
    columns = [name.replace("_", " ") for name in totals]
    return table("Totals", columns, [list(totals.values())], numbers=columns)


def _story(loss: Loss) -> Table:
    failover = f"view {loss.view} counts, without {loss.node}: work goes on where it led"
    rows = [
        (
            loss.killed_s,
            f"the server of node {loss.node} was killed (signal 9), after {loss.done_before:,} results",
        ),
        (loss.noticed_s, "the leader had noticed it"),
        (loss.active_s, failover if loss.view is not None else "the view without it"),
        (loss.whole_s, f"{loss.node} takes part again, and no copy is missing"),
    ]
    made = table(
        "A node was lost",
        ["after", "what happened"],
        [(f"{at:.2f} s" if at is not None else "not seen", what) for at, what in rows],
        numbers=["after"],
    )
    took = f"; the fail-over took {loss.failover_s:.2f} s" if loss.failover_s is not None else ""
    made.caption = f"{loss.arrived:,} of {loss.sent:,} results arrived{took}"
    made.caption_justify = "left"
    return made


def _times(run: Run) -> Table:
    rows: list[tuple[object, ...]] = []
    if run.alone is None:
        rows.append(("one process", "failed", None, None))
    else:
        files_per_s = run.tasks_per_s * run.mesh_s / run.alone.seconds
        rows.append(("one process", f"{run.alone.seconds:.2f}", f"{files_per_s:,.0f}", "1.00 x"))
    workers = f"{run.workers} worker{'s' if run.workers > 1 else ''}, a task a file"
    speed_up = None if run.speed_up is None else f"{run.speed_up:.2f} x"
    rows.append((workers, f"{run.mesh_s:.2f}", f"{run.tasks_per_s:,.0f}", speed_up))
    columns = ["by", "seconds", "tasks/s", "speed-up"]
    made = table("The same work, twice", columns, rows, numbers=columns[1:])
    nodes = "node" if run.nodes == 1 else f"{run.nodes} nodes"
    made.caption = f"{nodes} and workers were ready after {run.start_s:.2f} s"
    made.caption_justify = "left"
    return made
