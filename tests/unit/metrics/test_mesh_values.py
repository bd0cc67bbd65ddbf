"""Asking the nodes for metrics holds up nobody, however long they take."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from taskmesh.metrics.mesh_values import WAIT_S, MeshValues

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
    assert silence.asked == 1


def test_without_a_mesh_no_node_is_up() -> None:
    values = MeshValues(lambda: None, lambda _: pytest.fail("nobody to agree with"), lambda: ())
    assert "taskmesh_nodes_up 0" in values.read().text()
