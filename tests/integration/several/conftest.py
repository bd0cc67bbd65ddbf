"""What the tests of drivers to several nodes share: real servers, and who stands behind the name of a node."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import pytest

from taskmesh.core.script import Script
from taskmesh.core.steps import Call, Reply, Round
from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.mesh_driver import MeshDriver
from tests.nodes import Nodes

NODES = ("n1", "n2", "n3")


def script(source: str) -> Script:
    text = source.encode()
    return Script("test", text, hashlib.sha1(text).hexdigest().encode())


def command(node: str, *words: bytes, patience_s: float = 0.0) -> Call:
    return Call(None, b"", words, patience_s, node)


def run_id(nodes: Nodes, at: int) -> bytes:
    with nodes[at].client() as client:
        return client.info("server")["run_id"].encode()


class Places:
    """Where the nodes are, and which processes were admitted; as a view says it."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self.run_ids: dict[str, bytes | None] = dict.fromkeys(NODES)

    def __call__(self, node: str) -> tuple[NodeAddress, bytes | None]:
        return NodeAddress(self._nodes[NODES.index(node)].url), self.run_ids[node]

    def admit(self, *nodes: str) -> None:
        """Admit the processes that answer now."""
        for node in nodes or NODES:
            self.run_ids[node] = run_id(self._nodes, NODES.index(node))


@pytest.fixture
def places(three_nodes: Nodes) -> Places:
    return Places(three_nodes)


@pytest.fixture
def make_driver(places: Places) -> Iterator[Callable[..., MeshDriver]]:
    made: list[MeshDriver] = []

    def make(**options: float) -> MeshDriver:
        made.append(MeshDriver(places, **{"answer_timeout_s": 20.0, **options}))
        return made[-1]

    yield make
    for driver in made:
        driver.close()


@pytest.fixture
def driver(make_driver: Callable[..., MeshDriver]) -> MeshDriver:
    return make_driver()


def to_all(*words: bytes) -> list[Call]:
    return [command(node, *words) for node in NODES]


def when(count: int, *words: bytes) -> Round:
    """Return a round to all nodes that is over when so many have answered."""
    return Round(to_all(*words), lambda replies: answered(replies) >= count)


def answered(replies: list[Reply]) -> int:
    return sum(isinstance(reply, (bytes, int, list)) for reply in replies)
