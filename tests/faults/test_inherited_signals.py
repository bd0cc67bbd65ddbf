"""Who starts a worker may have blocked or ignored signals, which every program inherits: it must not notice."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene, kill


@contextmanager
def blocked(*numbers: int) -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_blocked_signals_are_heeded_all_the_same(scene: Scene, start_method: str) -> None:
    folder = str(scene.folder)
    with blocked(signal.SIGCHLD, signal.SIGTERM, signal.SIGALRM):
        worker = scene.worker(1, start_method=start_method)
    scene.send(tasks.hold, folder, "held", expect=0)
    kill(scene.started("held"))
    scene.started("held", times=2)
    scene.let("held")
    scene.check()
    worker.send(signal.SIGTERM)
    assert worker.exit_code() == 0


def test_the_ends_of_processes_are_told_where_that_was_ignored() -> None:
    """Else the import of an app could not run a program, and learn how it ended."""
    code = (
        "import signal, subprocess, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN);"
        "from taskmesh.worker.early import let; let();"
        "sys.exit(subprocess.call([sys.executable, '-c', 'raise SystemExit(7)']))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 7
