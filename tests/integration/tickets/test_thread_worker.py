"""The worker of tests hears tickets, too: of `memory://`, which nobody else could."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from taskmesh import TaskMesh
from taskmesh.core import keys
from taskmesh.nodes.embedded import PrivateNode
from taskmesh.replication.ask import plain
from taskmesh.testing.thread_worker import ThreadWorker
from tests.support import wait_until


@pytest.fixture
def mesh(chaos_node: PrivateNode) -> Iterator[TaskMesh]:
    made = TaskMesh("memory", nodes=f"unix://{chaos_node.socket_path}", key="s" * 40, broker="memory://")
    yield made
    made.close()


def idle(mesh: TaskMesh, queue: str) -> int:
    """Return how many children wait for tickets of a queue."""
    link = mesh.link
    return link.run(plain(link.session, b"ZCARD", keys.prefix("memory") + b"tidle:" + queue.encode()))


def test_it_is_woken_by_tickets_also_of_queues_that_come_later(mesh: TaskMesh) -> None:
    @mesh.task
    def double(number: int) -> int:
        return 2 * number

    with ThreadWorker(mesh).start(2):
        wait_until(lambda: idle(mesh, "default") == 2, what="they wait")
        for number in range(20):
            assert double.delay(number).get(timeout=90) == 2 * number
        assert double.apply_async((21,), queue="later").get(timeout=90) == 42
        wait_until(lambda: idle(mesh, "later") == 2, what="they wait for that, too")
        assert double.apply_async((4,), queue="later").get(timeout=90) == 8
        assert mesh.broker is not None
        wait_until(
            lambda: mesh.broker.waiting("later") == mesh.broker.waiting("default") == 0,
            what="every ticket is done with",
        )
    wait_until(lambda: idle(mesh, "default") == idle(mesh, "later") == 0, what="nobody waits any more")
