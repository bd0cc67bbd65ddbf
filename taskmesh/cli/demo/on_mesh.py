"""The work on the mesh: a private node, worker processes, a task a file."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from taskmesh.cli.demo.analysis import FileFigures
from taskmesh.cli.demo.own_settings import own_settings
from taskmesh.cli.demo.stopping import Stopping
from taskmesh.cli.demo.tally import Tally
from taskmesh.errors import InvariantBroken

Showing = Callable[[], AbstractContextManager[Callable[[int], None]]]
"""Makes what shows the progress; it is entered when there is something to show."""


@dataclass(frozen=True, slots=True)
class OnMesh:
    """What the mesh achieved.

    Attributes:
        start_s: From nothing to the node and the workers ready.
        seconds: From sending the first task to the last result.
        tally: What the tasks returned, and which failed.
    """

    start_s: float
    seconds: float
    tally: Tally


def run_on_mesh(
    root: Path, paths: Sequence[Path], *, workers: int, showing: Showing, stopping: Stopping
) -> OnMesh:
    """Analyse `paths` with worker processes on a private node; both are gone when this returns or raises.

    Args:
        root: What the names of files are relative to.
        paths: The files below it.
        workers: How many worker processes.
        showing: Makes what shows the progress.
        stopping: Tells of signals; those that come while processes start or stop wait.

    Raises:
        Stopped: A signal has come.
        TaskMeshError: The node or the workers could not be started, or were lost.
    """
    start = time.perf_counter()
    with own_settings():
        # Imported here: the app reads its settings when it is made.
        from taskmesh.cli.demo.tasks import mesh

        with mesh, mesh.workers(workers):
            start_s = time.perf_counter() - start
            with showing() as show, stopping.interruptible():
                start = time.perf_counter()
                tally = _collect(root, paths, show)
                return OnMesh(start_s, time.perf_counter() - start, tally)


def _collect(root: Path, paths: Sequence[Path], show: Callable[[int], None]) -> Tally:
    from taskmesh.cli.demo.tasks import analyse

    results = analyse.map([str(path) for path in paths])
    file_of = {
        result.id: path.relative_to(root).as_posix() for result, path in zip(results, paths, strict=True)
    }
    tally = Tally()
    for done, result in enumerate(results.as_completed(), 1):
        # Typed as the task's value, but without propagation it may be what the task raised.
        outcome: object = result.get(propagate=False)
        if isinstance(outcome, FileFigures):
            tally.add(file_of[result.id], outcome)
        elif isinstance(outcome, Exception):
            tally.fail(file_of[result.id], outcome)
        else:
            raise InvariantBroken(f"the demo's task returned {type(outcome).__name__}")
        show(done)
    return tally
