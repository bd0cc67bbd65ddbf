"""Nodes of a mesh of several are killed, stopped, cut off and emptied under load: what was accepted ends, once.

What is tried is the promise of README.md: an accepted task reaches a final state, and an outcome that anyone saw never
changes, as long as fewer than W replicas of it lose their data before repair.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator

import pytest

from taskmesh.errors import NodeUnavailable, SendError
from taskmesh.replication.view import UP
from tests.faults.load import Load
from tests.faults.mesh_nemesis import MeshNemesis
from tests.faults.mesh_scene import CHANGE_S, MeshScene, balance
from tests.faults.proxy import Proxy, Way
from tests.faults.scale import scaled
from tests.nodes import Nodes
from tests.support import wait_until

MakeScene = Callable[..., MeshScene]
#: How long a send is tried where none can be accepted; less, and a slow machine refuses what it could take.
SEND_S = 5.0
#: The sender rests so long after each send: what takes long here are time-outs.
PAUSE_S = scaled(0.05, 0.0)


@pytest.fixture
def scene(make_mesh_scene: MakeScene, three_nodes: Nodes) -> MeshScene:
    return make_mesh_scene(three_nodes)


@pytest.fixture
def nemesis(scene: MeshScene, seed: int) -> MeshNemesis:
    return MeshNemesis(scene, random.Random(seed))


@pytest.fixture
def proxies(three_nodes: Nodes) -> Iterator[list[Proxy]]:
    """A network in front of each node."""
    made = [Proxy(server.port) for server in three_nodes]
    yield made
    for proxy in made:
        proxy.close()


@pytest.mark.parametrize(
    "harm",
    [
        MeshNemesis.kill,
        MeshNemesis.stop,
        MeshNemesis.restart,
        MeshNemesis.empty,
        MeshNemesis.older,
        MeshNemesis.kill_all,
    ],
    ids=["killed", "stopped", "restarted", "emptied", "older", "all-killed"],
)
def test_a_node_is_harmed_under_load(
    scene: MeshScene, nemesis: MeshNemesis, seed: int, harm: Callable[[MeshNemesis, Load, int], None]
) -> None:
    """Each node leads a third and backs up the rest: what befalls one befalls primaries and backups at once."""
    with Load(scene, seed=seed, pause_s=PAUSE_S) as load:
        load.ran(40)
        harm(nemesis, load, seed % 3)
        scene.whole()
        load.look()
        load.ran(40)
    balance(scene, load)


def test_what_others_lead_goes_on_while_one_is_dead(
    scene: MeshScene, nemesis: MeshNemesis, seed: int
) -> None:
    """The others' slots wait for nothing: the view may take as long as it likes."""
    with Load(scene, seed=seed, pause_s=PAUSE_S) as load:
        load.ran(20)
        scene.nodes.kill(0)
        load.ran(20)
        scene.without(0)
        scene.nodes.start(0)
    balance(scene, load)


def test_a_minority_refuses_what_is_sent(
    make_mesh_scene: MakeScene, three_nodes: Nodes, proxies: list[Proxy], seed: int
) -> None:
    """Who reaches one node of three is told that nothing was recorded for sure, and afterwards all is well."""
    scene = make_mesh_scene(three_nodes, urls=[proxy.url for proxy in proxies], send_timeout=SEND_S)
    nemesis = MeshNemesis(scene, random.Random(seed))
    with Load(scene, seed=seed, pause_s=PAUSE_S) as load:
        load.ran(40)
        before = len(load.ledger.accepted)
        for proxy in proxies[1:]:
            proxy.be(Way.HOLE)
        load.refused(2)
        cut = len(load.ledger.accepted)
        load.refused(2)
        # what was under way may have been accepted; from then on nothing is
        assert len(load.ledger.accepted) == cut >= before
        for proxy in proxies[1:]:
            proxy.be(Way.PASS)
        load.ran(40)
    assert nemesis.done.total() == 0
    balance(scene, load)


def test_a_link_that_comes_and_goes(
    make_mesh_scene: MakeScene, three_nodes: Nodes, proxies: list[Proxy], seed: int
) -> None:
    """Work goes on, and the view is not changed with each turn."""
    scene = make_mesh_scene(three_nodes, urls=[proxy.url for proxy in proxies])
    MeshNemesis(scene, random.Random(seed))
    turns = 5
    with Load(scene, seed=seed, pause_s=PAUSE_S) as load:
        load.ran(40)
        first = scene.view().number
        for _ in range(turns):
            proxies[0].be(Way.CLOSED)
            proxies[0].reset()
            load.ran(10)
            proxies[0].be(Way.PASS)
            load.ran(10)
        # one loss is two views; a node that comes again and again is taken in ever later
        assert scene.view().number - first <= 2 * turns
    balance(scene, load)


def test_a_node_is_emptied_and_filled_under_load(
    make_mesh_scene: MakeScene, make_nodes: Callable[..., Nodes], seed: int
) -> None:
    scene = make_mesh_scene(make_nodes(4))
    nemesis = MeshNemesis(scene, random.Random(seed))
    with Load(scene, seed=seed, pause_s=PAUSE_S) as load:
        load.ran(40)
        nemesis.drain(load, seed % 4)
        load.ran(40)
    balance(scene, load)


def test_anything_befalls_any_node(scene: MeshScene, nemesis: MeshNemesis, seed: int) -> None:
    with Load(scene, seed=seed, pause_s=PAUSE_S) as load:
        for _ in range(scaled(2, 6)):
            load.ran(20)
            print(nemesis.strike(load))
            load.look()
    balance(scene, load)


def test_a_sender_waits_no_longer_than_it_was_told(make_mesh_scene: MakeScene, three_nodes: Nodes) -> None:
    """With two of three gone nothing can be accepted, and the caller hears of it."""
    scene = make_mesh_scene(three_nodes, send_timeout=SEND_S)
    scene.whole()
    for at in (1, 2):
        three_nodes.kill(at)
    failed: list[BaseException] = []

    def send() -> None:
        try:
            scene.task(_entry()).delay(str(scene.folder), 0.0)
        except (SendError, NodeUnavailable) as error:
            failed.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    wait_until(lambda: not thread.is_alive(), CHANGE_S, "the caller is told")
    assert failed
    for at in (1, 2):
        three_nodes.start(at)
    wait_until(lambda: all(member.state == UP for member in scene.whole().members), CHANGE_S, "all are back")


def _entry() -> Callable[..., object]:
    from tests.apps import ledger_tasks

    return ledger_tasks.entry
