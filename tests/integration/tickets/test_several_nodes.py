"""Tickets on a mesh of several nodes: which of them has the work, a ticket does not say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from taskmesh import TaskMesh
from taskmesh.core import keys
from taskmesh.queue.ticket import Given
from taskmesh.replication.ask import plain
from taskmesh.worker.ticket_giving import Giving
from tests.nodes import Nodes
from tests.support import wait_until
from tests.ticket_broker import FileBroker


@pytest.fixture
def mesh(three_nodes: Nodes, address: str) -> Iterator[TaskMesh]:
    made = TaskMesh("many", nodes=three_nodes.urls, key="s" * 40, broker=address, lease_ttl=30.0)
    yield made
    made.close()


def registered(mesh: TaskMesh, kind: bytes) -> list[int]:
    """Return how many children each node knows as idle."""
    link = mesh.link.open()
    key = keys.prefix("many") + kind + b":default"
    return [len(each) for each in link.ask_each(lambda: plain(link.session, b"ZRANGE", key, b"0", b"-1"))]


@pytest.mark.parametrize("pool", ["process:2", "thread:4", "async:4"])
def test_tickets_wake_children_wherever_the_work_is(mesh: TaskMesh, broker: FileBroker, pool: str) -> None:
    @mesh.task
    def double(number: int) -> int:
        return 2 * number

    children = 2 if pool == "process:2" else 1
    with mesh.workers(pool=pool):
        wait_until(lambda: registered(mesh, b"tidle") == 3 * [children], what="they wait on every node")
        assert registered(mesh, b"idle") == [0, 0, 0]
        for number in range(12):
            assert double.delay(number).get(timeout=90) == 2 * number
        assert double.map(range(100)).get(timeout=90) == [2 * number for number in range(100)]
        wait_until(
            lambda: not broker.waiting("default") and not broker.out("default"), what="all are settled"
        )
    assert broker.noted("acknowledged default") > 0


def test_a_node_that_is_away_keeps_no_ticket_from_the_others(mesh: TaskMesh, three_nodes: Nodes) -> None:
    link = mesh.link.open()
    giving = Giving(link, b"aaaaaaaaaaaaaaaa")
    nothing = Given(0, is_left=False, is_busy=False)
    assert giving.give("default", 1) == nothing
    three_nodes[0].kill()
    assert [giving.give("default", 1) for _ in range(4)] == 4 * [nothing]
