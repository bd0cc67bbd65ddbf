"""Asking the nodes for metrics holds up nobody, however long they take."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from taskmesh.errors import NodeUnavailable
from taskmesh.metrics.exposition import Samples
from taskmesh.metrics.mesh_values import WAIT_S, MeshValues
from taskmesh.queue.manage import Status
from tests.support import wait_until

#: Far longer than it takes.
SOON_S = 20.0


class Silence:
    """A way to a mesh that leads nowhere for as long as it lasts."""

    def __init__(self) -> None:
        self.asked = 0
        self._over = threading.Event()

    def __call__(self) -> None:
        if threading.current_thread().name == "taskmesh-metrics":
            self.asked += 1
            self._over.wait(SOON_S * 3)

    def end(self) -> None:
        self._over.set()


@pytest.fixture
def silence() -> Iterator[Silence]:
    made = Silence()
    yield made
    made.end()


def test_whoever_asks_is_told_that_no_node_is_up_and_one_thread_goes_on(silence: Silence) -> None:
    values = MeshValues(silence, lambda _: pytest.fail("nobody to agree with"), lambda: ())
    for _ in range(2):
        asked_s = time.monotonic()
        text = values.read().text()
        assert WAIT_S <= time.monotonic() - asked_s < SOON_S
        assert text.endswith("taskmesh_nodes_up 0\n")
    wait_until(lambda: silence.asked)
    assert silence.asked == 1


def test_without_a_mesh_no_node_is_up() -> None:
    values = MeshValues(lambda: None, lambda _: pytest.fail("nobody to agree with"), lambda: ())
    assert "taskmesh_nodes_up 0" in values.read().text()


class Link:
    """A link whose node counts, and then says when the oldest messages were sent, or nothing any more."""

    session = None

    def __init__(self, oldest: dict[str, int] | None) -> None:
        self._answers = [Status({"mail": 3}, 0, 0, 0, {}, [], {}), oldest]
        self.clock = self

    def now_ms(self) -> int:
        return 9000

    def run(self, steps: Generator[Any, Any, Any], within_s: float) -> Any:
        steps.close()
        assert within_s > 0
        answer = self._answers.pop(0)
        if answer is None:
            raise NodeUnavailable("it does not answer any more")
        return answer


def counted(link: Link) -> str:
    values = MeshValues(lambda: None, lambda _: pytest.fail("nobody to agree with"), lambda: ("default",))
    found = Samples()
    try:
        values._counts(link, found)
    except NodeUnavailable:
        found.put("taskmesh_nodes_up", 0)
    return found.text()


def test_a_queue_that_is_served_and_empty_has_an_age_only_if_a_node_has_said_so() -> None:
    whole, half = counted(Link({"mail": 5000})), counted(Link(None))
    assert 'taskmesh_queue_oldest_age_seconds{queue="mail"} 4.0' in whole
    assert 'taskmesh_queue_oldest_age_seconds{queue="default"} 0.0' in whole
    for told in (whole, half):
        assert 'taskmesh_queue_ready{queue="mail"} 3' in told
        assert 'taskmesh_queue_ready{queue="default"} 0' in told
    assert "taskmesh_nodes_up 0" in half
    assert "age_seconds" not in half
