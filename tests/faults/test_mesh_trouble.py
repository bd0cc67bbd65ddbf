"""One node of three is not lost, only in trouble: its disk or its memory is full, its clock is wrong, it is slow."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from taskmesh.errors import QueueFull, SendRejected, SendUnknown
from tests.apps import ledger_tasks
from tests.apps import worker_tasks as tasks
from tests.faults.clock import Clock
from tests.faults.load import Load
from tests.faults.mesh_nemesis import MeshNemesis
from tests.faults.mesh_scene import CHANGE_S, MeshScene, balance
from tests.faults.proxy import Proxy, Way
from tests.faults.server import Server
from tests.faults.small_disk import SmallDisk
from tests.nodes import Nodes
from tests.support import wait_until

MakeScene = Callable[..., MeshScene]
MakeServer = Callable[..., Server]
MakeNodes = Callable[..., Nodes]
#: Less than results are kept, which is an hour of the clock that is moved.
MOVED_S = 3000
#: The sender rests so long after each send: these nodes are in trouble enough.
PAUSE_S = 0.05
PULSES = 8
#: How long a node stands still, and goes on, in turns: never as long as one that is gone.
PULSE_S = 0.3


def with_one(server: Server, others: Nodes, folder: Path) -> Nodes:
    """Return three nodes, the first of which is a server of the test's own."""
    return Nodes(folder, 0, servers=[server, *others])


def is_refused(load: Load, as_wanted: Callable[[SendRejected], bool]) -> None:
    """Send until one is refused with this reason, as those are whose slots the node in trouble leads.

    On a busy machine others may be refused or unknown for want of an answer in time.
    """
    told: list[str] = []

    def found() -> bool:
        try:
            load.send_as("ok", ledger_tasks.entry)
        except SendRejected as error:
            load.ledger.rejected.add(error.task_id)
            told.append(repr(error))
            return as_wanted(error)
        except SendUnknown as error:
            load.ledger.unknown[error.task_id] = "ok"
            told.append(repr(error))
        return False

    wait_until(found, CHANGE_S, f"a message is refused, otherwise than {told}")


@pytest.mark.needs_root
def test_the_disk_of_one_node_is_full(
    small_disk: SmallDisk,
    make_server: MakeServer,
    make_mesh_scene: MakeScene,
    make_nodes: MakeNodes,
    tmp_path: Path,
    seed: int,
) -> None:
    """What it leads is refused with the reason, the rest goes on with two copies; later it is made level."""
    server = make_server(folder=small_disk.folder)
    scene = make_mesh_scene(with_one(server, make_nodes(2), tmp_path))
    MeshNemesis(scene, random.Random(seed))
    with Load(scene, seed=seed, pause_s=PAUSE_S) as load:
        load.ran(40)
        small_disk.fill()
        is_refused(load, lambda error: "MISCONF" in str(error))
        load.accepted(20)
        small_disk.make_room()
        load.ran(40)
    balance(scene, load)
    server.close()


def test_the_memory_of_one_node_is_full(make_mesh_scene: MakeScene, three_nodes: Nodes, seed: int) -> None:
    """What it leads is refused with the reason; it goes on giving, taking outcomes, and keeping copies."""
    scene = make_mesh_scene(three_nodes)
    MeshNemesis(scene, random.Random(seed))
    with Load(scene, seed=seed, pause_s=PAUSE_S) as load:
        load.ran(40)
        with three_nodes[0].client() as client:
            client.config_set("maxmemory", "1mb")
            is_refused(load, lambda error: isinstance(error, QueueFull))
            load.ran(40)
            client.config_set("maxmemory", "0")
        load.ran(20)
    balance(scene, load)


@pytest.mark.parametrize("seconds", [MOVED_S, -MOVED_S], ids=["ahead", "back"])
def test_the_clock_of_one_node(
    make_server: MakeServer,
    make_mesh_scene: MakeScene,
    clock: Clock,
    make_nodes: MakeNodes,
    tmp_path: Path,
    seed: int,
    seconds: int,
) -> None:
    """Moved under load: no lease is lost, and what is delayed by 80 minutes does not begin."""
    server = make_server(env=clock.env)
    scene = make_mesh_scene(with_one(server, make_nodes(2), tmp_path))
    MeshNemesis(scene, random.Random(seed))
    later = [scene.task(tasks.add).apply_async((1, 2), countdown=MOVED_S + 1800) for _ in range(6)]
    with Load(scene, seed=seed, pause_s=PAUSE_S) as load:
        load.ran(40)
        clock.move(seconds)
        load.ran(60)
        scene.worker(1, name="newcomer", ready=False, log_level="INFO")
        load.ran(60)
    assert {str(handle.state) for handle in later} == {"SCHEDULED"}
    assert all(handle.revoke() for handle in later)
    balance(scene, load)


def test_a_node_that_stands_still_in_pulses(
    make_mesh_scene: MakeScene, three_nodes: Nodes, seed: int
) -> None:
    scene = make_mesh_scene(three_nodes)
    MeshNemesis(scene, random.Random(seed))
    with Load(scene, seed=seed, pause_s=PAUSE_S) as load:
        load.ran(20)
        for _ in range(PULSES):
            three_nodes.stop(0)
            load.rest(PULSE_S)
            three_nodes.go_on(0)
            load.ran(5)
    balance(scene, load)


def test_the_answers_of_one_node_come_in_drips(
    make_mesh_scene: MakeScene, three_nodes: Nodes, seed: int
) -> None:
    with Proxy(three_nodes[0].port) as proxy:
        scene = make_mesh_scene(three_nodes, urls=[proxy.url, *three_nodes.urls[1:]])
        MeshNemesis(scene, random.Random(seed))
        with Load(scene, seed=seed, pause_s=PAUSE_S) as load:
            load.ran(20)
            proxy.be(Way.DRIP)
            load.ran(60)
            proxy.be(Way.PASS)
            load.ran(20)
        balance(scene, load)
        scene.close()
