"""The work on the mesh: a private node, worker processes, a task a file."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from taskmesh.cli.demo.analysis import FileFigures
from taskmesh.cli.demo.loss import Killing, Loss
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
        loss: What came of the node that was killed; None if none was.
    """

    start_s: float
    seconds: float
    tally: Tally
    loss: Loss | None = None


def run_on_mesh(
    root: Path,
    paths: Sequence[Path],
    *,
    workers: int,
    nodes: int = 1,
    kill_one: bool = False,
    showing: Showing,
    stopping: Stopping,
) -> OnMesh:
    """Analyse `paths` with worker processes on private nodes; both are gone when this returns or raises.

    Args:
        root: What the names of files are relative to.
        paths: The files below it.
        workers: How many worker processes.
        nodes: How many private nodes.
        kill_one: Whether the server of one of them is killed in the middle.
        showing: Makes what shows the progress.
        stopping: Tells of signals; those that come while processes start or stop wait.

    Raises:
        Stopped: A signal has come.
        TaskMeshError: The node or the workers could not be started, or were lost.
    """
    start = time.perf_counter()
    with own_settings(nodes):
        # Imported here: the app reads its settings when it is made.
        from taskmesh.cli.demo.tasks import mesh

        with mesh, mesh.workers(workers):
            start_s = time.perf_counter() - start
            with showing() as show, stopping.interruptible():
                killing = Killing(mesh, len(paths)) if kill_one else None
                start = time.perf_counter()
                tally = _collect(root, paths, show, killing)
                seconds = time.perf_counter() - start
                loss = killing.account(tally.totals.analysed + tally.totals.failed) if killing else None
                return OnMesh(start_s, seconds, tally, loss)


def _collect(
    root: Path, paths: Sequence[Path], show: Callable[[int], None], killing: Killing | None
) -> Tally:
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
        if killing is not None:
            killing.look(done)
    return tally
