"""Results of many megabytes on three real servers: no step of a node that only copies is larger than a piece."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from taskmesh import TaskMesh
from taskmesh.core import keys
from taskmesh.replication.pieces import PIECE_BYTES
from tests.nodes import Nodes
from tests.support import wait_until

SIZE = 3 * PIECE_BYTES + 12345


@pytest.fixture
def mesh(three_nodes: Nodes) -> Iterator[TaskMesh]:
    made = TaskMesh("many", nodes=three_nodes.urls, key="s" * 40, send_timeout=60)
    yield made
    made.close()


def maker(mesh: TaskMesh):
    """Return a task whose result is large and cannot be compressed; it travels by value."""

    @mesh.task
    def make(size: int, seed: int) -> bytes:
        import random

        return random.Random(seed).randbytes(size)

    return make


def expected(size: int, seed: int) -> bytes:
    import random

    return random.Random(seed).randbytes(size)


def copies(mesh: TaskMesh, nodes: Nodes, task_id: str) -> set[bytes | None]:
    found = set()
    for node in nodes:
        with node.client() as client:
            found.add(client.get(keys.record(mesh.link.prefix, task_id)))
    return found


def leftovers(mesh: TaskMesh, nodes: Nodes) -> list[bytes]:
    found: list[bytes] = []
    for node in nodes:
        with node.client() as client:
            found += client.keys(mesh.link.prefix + b"c:*") + client.keys(mesh.link.prefix + b"coming")
    return found


def test_a_large_result_reaches_its_caller_and_all_copies(mesh, three_nodes):
    make = maker(mesh)
    with mesh.workers(1):
        make.delay(0, 0).get(timeout=90)
        result = make.delay(SIZE, 1)
        # by a word that it is there: it is not told itself
        assert result.get(timeout=90) == expected(SIZE, 1)
        wait_until(lambda: len(copies(mesh, three_nodes, result.id)) == 1)
        assert len(copies(mesh, three_nodes, result.id).pop()) > SIZE
        wait_until(lambda: not leftovers(mesh, three_nodes))


def test_a_coroutine_that_waits_reads_what_is_too_large_to_be_told(mesh):
    make = maker(mesh)

    async def wait() -> bytes:
        return await asyncio.wait_for(make.delay(SIZE, 2), 90)

    with mesh.workers(1):
        make.delay(0, 0).get(timeout=90)
        assert asyncio.run(wait()) == expected(SIZE, 2)


def test_large_arguments_are_on_all_copies(mesh, three_nodes):
    @mesh.task
    def length(data: bytes) -> int:
        return len(data)

    result = length.delay(expected(SIZE, 3))
    wait_until(lambda: len(copies(mesh, three_nodes, result.id)) == 1)
    with mesh.workers(1):
        assert result.get(timeout=90) == SIZE


def test_a_node_that_comes_back_empty_gets_large_copies_in_pieces(mesh, three_nodes):
    make = maker(mesh)
    with mesh.workers(1):
        make.delay(0, 0).get(timeout=90)
        wait_until(lambda: mesh.link.nodes == ("n1", "n2", "n3"))
        result = make.delay(SIZE, 4)
        assert result.get(timeout=90) == expected(SIZE, 4)
        three_nodes.kill(2)
        three_nodes.start(2, empty=True)
        wait_until(lambda: len(copies(mesh, three_nodes, result.id)) == 1)
        assert make.delay(10, 5).get(timeout=90) == expected(10, 5)
        wait_until(lambda: not leftovers(mesh, three_nodes))
    assert result.get(timeout=90) == expected(SIZE, 4)
