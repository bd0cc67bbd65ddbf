"""A worker starts while its node takes connections and does not answer."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene
from tests.faults.server import Server

WAITS = "waits for it"


@pytest.fixture
def silent_node(server: Server) -> Iterator[Server]:
    os.kill(server.pid, signal.SIGSTOP)
    yield server
    os.kill(server.pid, signal.SIGCONT)


def test_a_worker_that_starts_before_its_node_answers_waits_for_it(
    make_scene: Callable[..., Scene], silent_node: Server
) -> None:
    scene = make_scene("silent", silent_node.url)
    worker = scene.worker(1, ready=False)
    worker.says(WAITS, 40)
    os.kill(silent_node.pid, signal.SIGCONT)
    scene.send(tasks.add, 1, 2, expect=3)
    scene.check()
    assert worker.said().count(WAITS) == 1


def test_a_worker_that_waits_for_its_node_stops_when_told_to(
    make_scene: Callable[..., Scene], silent_node: Server
) -> None:
    worker = make_scene("silent", silent_node.url).worker(1, ready=False)
    worker.says(WAITS, 40)
    worker.send(signal.SIGTERM)
    assert worker.exit_code() == 0
