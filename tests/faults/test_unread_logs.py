"""Nobody reads what a worker logs: it must not wait for that."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene, kill


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """The write end of a pipe that takes nothing more."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    for size in (4096, 1):
        try:
            while True:
                os.write(write_end, b"x" * size)
        except BlockingIOError:
            continue
    os.set_blocking(write_end, True)
    yield write_end
    os.close(read_end)
    os.close(write_end)


def test_a_worker_whose_log_nobody_reads_goes_on(scene: Scene, full_pipe: int) -> None:
    folder = str(scene.folder)
    worker = scene.worker(1, log_level="INFO", log_fd=full_pipe)
    scene.send(tasks.hold, folder, "held", expect=0)
    kill(scene.started("held"))
    scene.started("held", times=2)
    scene.let("held")
    scene.check()
    worker.send(signal.SIGTERM)
    assert worker.exit_code() == 0


def test_children_whose_log_nobody_reads_go_on(scene: Scene, full_pipe: int) -> None:
    """They have no thread that could write in their place: what is not read in time is dropped."""
    worker = scene.worker(1, log_level="DEBUG", log_fd=full_pipe)
    for number in range(3):
        scene.send(tasks.add, number, 1, expect=number + 1)
    scene.check()
    worker.send(signal.SIGTERM)
    assert worker.exit_code() == 0
