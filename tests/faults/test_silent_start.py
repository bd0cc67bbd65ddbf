"""A worker starts before its node is there: it takes connections and does not answer, or does not even that."""

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


@pytest.fixture
def dead_node(server: Server) -> Server:
    server.kill()
    return server


def test_a_worker_that_starts_before_its_node_answers_waits_for_it(
    make_scene: Callable[..., Scene], silent_node: Server
) -> None:
    scene = make_scene("silent", silent_node.url)
    worker = scene.worker(1, ready=False)
    worker.says(WAITS)
    os.kill(silent_node.pid, signal.SIGCONT)
    scene.send(tasks.add, 1, 2, expect=3)
    scene.check()
    assert worker.said().count(WAITS) == 1


def test_a_worker_that_starts_before_its_node_is_started_waits_for_it(
    make_scene: Callable[..., Scene], dead_node: Server
) -> None:
    """As where both are started together, by docker compose or at the boot of a machine."""
    scene = make_scene("early", dead_node.url)
    worker = scene.worker(1, ready=False, log_level="INFO")
    worker.says(WAITS)
    dead_node.start()
    scene.send(tasks.add, 1, 2, expect=3)
    scene.check()
    assert worker.said().count(WAITS) == 1
    worker.says("the node answers worker")


@pytest.mark.parametrize("node", ["silent_node", "dead_node"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_waits_for_its_node_stops_when_told_to(
    make_scene: Callable[..., Scene], request: pytest.FixtureRequest, node: str, number: int
) -> None:
    found: Server = request.getfixturevalue(node)
    worker = make_scene("silent", found.url).worker(1, ready=False)
    worker.says(WAITS)
    worker.send(number)
    assert worker.exit_code() == 0


def test_a_worker_waits_no_longer_than_it_was_told_to(
    make_scene: Callable[..., Scene], dead_node: Server
) -> None:
    worker = make_scene("bounded", dead_node.url, startup_timeout=0.3).worker(1, ready=False)
    assert worker.exit_code() == 1
    assert "startup_timeout) and gives up" in worker.said()
    assert str(dead_node.port) in worker.said()
