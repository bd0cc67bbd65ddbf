"""`taskmesh demo`: the story of one run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console

from taskmesh.cli.demo.alone import Alone, AloneFailed, run_alone
from taskmesh.cli.demo.files import python_files, standard_library, warm
from taskmesh.cli.demo.on_mesh import Showing, run_on_mesh
from taskmesh.cli.demo.progress import showing
from taskmesh.cli.demo.report import Run, as_json, tables
from taskmesh.cli.demo.stopping import Stopped, Stopping
from taskmesh.cli.group import ending
from taskmesh.cli.output import json_option, print_json, say, show
from taskmesh.config.settings import EMBEDDED_NODES_MAX, SETTINGS

#: With three copies of everything two must know of a change, so one can be lost.
NODES_TO_LOSE_ONE = 3


@click.command(
    epilog=ending(
        examples=[
            "taskmesh demo",
            "taskmesh demo --path . --workers 4",
            "taskmesh demo --nodes 3 --kill-one",
            "taskmesh demo --json | jq .speed_up",
        ],
        codes=["0 done, also where files could not be parsed", "1 the demo failed", "143 SIGTERM"],
    )
)
@click.option(
    "--path",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Analyse the *.py files below this folder; installed packages in it (site-packages) are left out.  "
    "[default: the standard library of this Python]",
)
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes.  [default: one per CPU]")
@click.option("--limit", type=click.IntRange(min=1), help="Analyse the first so many files only.")
@click.option(
    "--nodes", type=click.IntRange(1, EMBEDDED_NODES_MAX), default=1, help="Private nodes.  [default: 1]"
)
@click.option(
    "--kill-one",
    is_flag=True,
    help="Kill the server of a node (signal 9) when half is done, and tell what came of that; with --nodes 3 or more.",
)
@json_option
def demo(
    *,
    path: Path | None,
    workers: int | None,
    limit: int | None,
    nodes: int,
    kill_one: bool,
    json_wanted: bool,
) -> None:
    """Show TaskMesh at work on real files, with nothing configured.

    Starts a private node and worker processes, and analyses every file of Python's standard library as a task of
    its own; then does the same work in one process, and compares. Files that cannot be parsed are shown as
    failed tasks. Everything that was started is gone at the end, also after Ctrl-C.
    """
    if kill_one and nodes < NODES_TO_LOSE_ONE:
        raise click.UsageError(
            f"--kill-one needs --nodes {NODES_TO_LOSE_ONE} or more: of fewer nodes none can be lost"
        )
    wanted = _Wanted(path, workers or SETTINGS["concurrency"].default_value(), limit, nodes, kill_one)
    try:
        with Stopping() as stopping:
            run = _run(wanted, stopping)
    except Stopped as stopped:
        say(f"stopped by {stopped}; nothing is left behind")
        sys.exit(stopped.exit_code)
    if json_wanted:
        print_json(as_json(run))
    else:
        show(*tables(run))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What was asked for, as the options say it."""

    path: Path | None
    workers: int
    limit: int | None
    nodes: int
    kill_one: bool


def _run(wanted: _Wanted, stopping: Stopping) -> Run:
    notes = Console(stderr=True)
    root, workers = (wanted.path or standard_library()).absolute(), wanted.workers
    with stopping.interruptible():
        paths = _files(root, wanted.limit)

    def progress(title: str) -> AbstractContextManager[Callable[[int], None]]:
        return showing(notes, title, len(paths))

    say(f"{len(paths)} files below {root}; starting {_nodes(wanted.nodes)} and {_counted(workers, 'worker')}")
    on_mesh = run_on_mesh(
        root,
        paths,
        workers=workers,
        nodes=wanted.nodes,
        kill_one=wanted.kill_one,
        showing=lambda: progress(_counted(workers, "worker")),
        stopping=stopping,
    )
    alone = _alone(paths, lambda: progress("1 process"), stopping)
    run = Run(
        str(root), workers, on_mesh.start_s, on_mesh.seconds, on_mesh.tally, alone, wanted.nodes, on_mesh.loss
    )
    if run.same_totals is False:
        say("note: the two runs came to different totals; were files changed meanwhile?")
    return run


def _files(root: Path, limit: int | None) -> list[Path]:
    def unreadable(error: OSError) -> None:
        say(f"note: {error.filename} is left out: {error.strerror}")

    paths = python_files(root, unreadable)[:limit]
    if not paths:
        raise click.BadParameter(
            f"there is no *.py file below {str(root)!r}; give another folder", param_hint="'--path'"
        )
    warm(paths)
    return paths


def _alone(paths: Sequence[Path], showing_progress: Showing, stopping: Stopping) -> Alone | None:
    try:
        with showing_progress() as report:
            return run_alone([str(path) for path in paths], report, stopping.interruptible)
    except AloneFailed as error:
        say(f"note: {error}")
        return None


def _nodes(count: int) -> str:
    return "a private node" if count == 1 else f"{count} private nodes"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
