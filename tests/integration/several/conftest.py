"""What the tests of drivers to several nodes share: real servers, and who stands behind the name of a node."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskmesh.codec.keyring import Keyring
from taskmesh.core import keys
from taskmesh.core.script import Script
from taskmesh.core.steps import Call, Reply, Round
from taskmesh.errors import TaskMeshError
from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.link import Link
from taskmesh.nodes.mesh_driver import MeshDriver
from taskmesh.replication.observing import LOOK_S
from taskmesh.replication.packed_view import pack
from taskmesh.replication.view import Member, View
from taskmesh.ring import RingNode, propose
from taskmesh.scheduler.node_care import NodeCare
from tests.nodes import Nodes
from tests.patience import LONG_S, wait_long_for_acceptors, wait_long_for_nodes

NODES = ("n1", "n2", "n3")


@pytest.fixture(scope="module", autouse=True)
def patient() -> Iterator[None]:
    """Have the processes of the tests themselves take nobody for silent who is only slow."""
    with pytest.MonkeyPatch.context() as patch:
        wait_long_for_acceptors(patch)
        wait_long_for_nodes(patch)
        yield


def look_after(care: NodeCare, over: threading.Event) -> None:
    """Look after nodes as a leader does, in its thread: what cannot be done now is tried again."""
    while not over.is_set():
        try:
            wait_s = care.turn()
        except TaskMeshError as error:
            print(f"cannot be seen to for now: {error}")
            wait_s = LOOK_S
        over.wait(wait_s)


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
        # a machine that stands still for seconds is no node that cannot be reached
        made.append(
            MeshDriver(places, **{"answer_timeout_s": LONG_S, "connect_timeout_s": LONG_S, **options})
        )
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


MESH = "many"
KEY = "0" * 32
SLOTS = 32


def view_of(nodes: Nodes, number: int = 1, *, replicas: int = 3, without: tuple[str, ...] = ()) -> View:
    """Return a view of nodes as they run now."""
    members = tuple(
        Member(
            node,
            nodes[at].url,
            f"{at:016x}",
            "gone" if node in without else run_id(nodes, at).decode(),
            state="lost" if node in without else "up",
        )
        for at, node in enumerate(NODES)
    )
    up = [RingNode(node) for node in NODES if node not in without]
    table = tuple(tuple(row) for row in propose(SLOTS, up, min(replicas, len(up))))
    return View(number, "active", SLOTS, replicas, members, table)


def activate(nodes: Nodes, view: View) -> None:
    """Have the nodes of a view obey it."""
    prefix = keys.prefix(MESH)
    keyring = Keyring.from_secret(KEY)
    for node in view.nodes:
        with nodes[NODES.index(node)].client() as client:
            meta = {"mesh_id": "1", "slots": SLOTS, "format": 1, "created_ms": 1, "keys": keyring.active.name}
            client.hset(prefix + b"meta", mapping=meta)
            client.set(prefix + b"view", pack(view))
            client.set(prefix + b"own", view.own(node))
            client.set(prefix + b"epoch", view.epoch)


@pytest.fixture
def make_link(three_nodes: Nodes) -> Iterator[Callable[..., Link]]:
    """Make a link as another process would; it is told where these of the nodes are."""
    made: list[Link] = []

    def make(*seeds: int, **options: Any) -> Link:
        addresses = tuple(NodeAddress(three_nodes[at].url) for at in seeds or range(3))
        link = Link(
            MESH,
            lambda: addresses,
            lambda: Keyring.from_secret(KEY),
            slots=SLOTS,
            **{"connect_timeout_s": LONG_S, "answer_timeout_s": LONG_S, "patience_s": LONG_S, **options},
        )
        made.append(link)
        return link

    yield make
    for link in made:
        link.close()
