"""Whatever is killed under load: nothing accepted is lost, and nothing ends twice."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator

import pytest

from taskmesh.nodes.embedded import PrivateNode, start_private
from tests.faults.load import Load
from tests.faults.nemesis import Nemesis
from tests.faults.scene import Scene

#: Kills of the randomised test; `make chaos` does a thousand.
STRIKES = 20


@pytest.fixture
def node() -> Iterator[PrivateNode]:
    """A node of the test's own, whose guardian starts it again."""
    with start_private("kills", durability="process") as node:
        yield node


@pytest.fixture
def harmed(make_scene: Callable[..., Scene], node: PrivateNode) -> Scene:
    """A mesh that gives up no message, however often a run of it is killed."""
    return make_scene("kills", f"unix://{node.socket_path}", max_crashes=99, lease_ttl=3.0)


@pytest.fixture
def nemesis(harmed: Scene, node: PrivateNode, seed: int) -> Nemesis:
    return Nemesis(harmed, random.Random(seed), lambda: os.kill(node.server_pid, signal.SIGKILL))


@pytest.mark.parametrize(
    ("kill", "times"),
    [(Nemesis.kill_child, 10), (Nemesis.kill_supervisor, 4), (Nemesis.kill_template, 4)],
    ids=["child", "supervisor", "template"],
)
def test_killed_processes_of_workers(
    harmed: Scene, nemesis: Nemesis, seed: int, kill: Callable[[Nemesis, Load], None], times: int
) -> None:
    with Load(harmed, seed=seed) as load:
        for _ in range(times):
            load.ran(40)
            kill(nemesis, load)
            nemesis.replace()
    load.balance()


def test_a_killed_node(harmed: Scene, nemesis: Nemesis, node: PrivateNode, seed: int) -> None:
    """No run is repeated for it: workers keep what they run, and commit it when the node is back."""
    with Load(harmed, seed=seed) as load:
        for _ in range(4):
            load.ran(100)
            os.kill(node.server_pid, signal.SIGKILL)
    load.balance()
    assert node.generation == 5


def test_anything_killed_in_any_order(harmed: Scene, nemesis: Nemesis, seed: int) -> None:
    with Load(harmed, seed=seed) as load:
        for strike in range(STRIKES):
            load.ran(30)
            print(nemesis.strike(load))
            if strike % 5 == 4:
                load.look()
    load.balance()
