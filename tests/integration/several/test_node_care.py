"""The leader's care for real servers: one is killed, comes back as it was, with nothing, or is there anew."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from taskmesh import TaskMesh
from taskmesh.errors import LeadershipLost
from taskmesh.replication.packed_view import pack
from taskmesh.replication.view_register import ViewRegister
from taskmesh.scheduler.node_care import NodeCare
from tests.integration.several.conftest import look_after
from tests.nodes import Nodes
from tests.support import wait_until

KEY = "c" * 64
RUN_S = 90


def add(a: int, b: int) -> int:
    return a + b


@pytest.fixture
def mesh(three_nodes: Nodes) -> Iterator[TaskMesh]:
    with TaskMesh("cared", nodes=three_nodes.urls, key=KEY) as mesh:
        mesh.task(name="add")(add)
        yield mesh


@pytest.fixture
def cared(mesh: TaskMesh) -> Iterator[NodeCare]:
    """Have a leader look after the nodes in a thread."""
    link = mesh.link.open()
    care = NodeCare(link, link.several, mesh.agreement, 1, lambda: not over.is_set())
    over = threading.Event()
    thread = threading.Thread(target=look_after, args=(care, over))
    thread.start()
    yield care
    over.set()
    thread.join()
    care.close()


def states(mesh: TaskMesh) -> list[str]:
    return [member.state for member in mesh.link.view.members]


def records(nodes: Nodes, at: int) -> dict[bytes, bytes]:
    with nodes[at].client() as client:
        names = list(client.scan_iter("tm:cared:r:*", count=1000))
        return dict(zip(names, client.mget(names), strict=True)) if names else {}


def listed(nodes: Nodes, at: int) -> int:
    with nodes[at].client() as client:
        return int(client.zcard("tm:cared:d"))


def send(mesh: TaskMesh, count: int) -> list[str]:
    task = mesh.tasks["add"]
    return [task.delay(at, at).id for at in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["as it was", "empty"])
def test_a_killed_node_is_left_out_and_taken_in_again(
    mesh: TaskMesh, three_nodes: Nodes, cared: NodeCare, how: str
) -> None:
    ids = send(mesh, 30)
    later = [mesh.tasks["add"].apply_async((at, at), countdown=3600).id for at in range(30)]
    first = mesh.link.view
    lost = next(at for at, url in enumerate(three_nodes.urls) if first.members[0].address in url)
    three_nodes.kill(lost)
    wait_until(lambda: states(mesh) == ["lost", "up", "up"], RUN_S)
    ids += send(mesh, 30)
    assert {mesh.result(task_id).state for task_id in ids} == {"PENDING"}
    three_nodes.start(lost, empty=how == "empty")
    wait_until(lambda: states(mesh) == ["up", "up", "up"], RUN_S)
    wait_until(lambda: {len(row) for row in mesh.link.view.table} == {3}, RUN_S)
    ids += send(mesh, 30)
    wanted = {f"tm:cared:r:{task_id}".encode() for task_id in ids}
    # the third copy of what was sent last may be on its way
    wanted |= {f"tm:cared:r:{task_id}".encode() for task_id in later}
    wait_until(lambda: [set(records(three_nodes, at)) for at in range(3)] == [wanted] * 3, RUN_S)
    # what led them before counts them no more
    wait_until(lambda: sum(listed(three_nodes, at) for at in range(3)) == len(later), RUN_S)


def test_a_server_that_is_started_anew_in_a_moment_is_admitted_anew(
    mesh: TaskMesh, three_nodes: Nodes, cared: NodeCare
) -> None:
    """Nobody missed it, but it may have come back with an older disk."""
    ids = send(mesh, 20)
    before = mesh.link.view
    three_nodes.kill(1)
    three_nodes.start(1)
    wait_until(
        lambda: states(mesh) == ["up", "up", "up"] and mesh.link.view.number >= before.number + 2, RUN_S
    )
    runs = {member.id: member.run_id for member in mesh.link.view.members}
    assert sum(runs[member.id] != member.run_id for member in before.members) == 1
    assert {mesh.result(task_id).state for task_id in ids} == {"PENDING"}


def test_all_come_back_together(mesh: TaskMesh, three_nodes: Nodes, cared: NodeCare) -> None:
    ids = send(mesh, 20)
    before = mesh.link.view.number
    for at in range(3):
        three_nodes.kill(at)
    for at in range(3):
        three_nodes.start(at)
    wait_until(lambda: mesh.link.view.number > before and states(mesh) == ["up", "up", "up"], RUN_S)
    assert {mesh.result(task_id).state for task_id in ids} == {"PENDING"}


def test_copies_that_were_missed_are_made_up_for(mesh: TaskMesh, three_nodes: Nodes, cared: NodeCare) -> None:
    ids = send(mesh, 5)
    key = f"tm:cared:r:{ids[0]}"
    wait_until(lambda: key.encode() in records(three_nodes, 0), RUN_S)
    slot = mesh.link.view.table[int(records(three_nodes, 0)[key.encode()][52:56], 16)]
    backup = next(
        at for at, url in enumerate(three_nodes.urls) if mesh.link.view.member(slot[1]).address in url
    )
    with three_nodes[backup].client() as client:
        client.delete(key)
    cared.leveling.soon()  # not within half a minute
    wait_until(lambda: key.encode() in records(three_nodes, backup), RUN_S)


def test_copies_are_not_compared_with_a_server_that_was_started_anew(
    mesh: TaskMesh, three_nodes: Nodes
) -> None:
    """It may have come back with an older disk, and says that it leads: what only others have counts all the same."""
    (task_id,) = send(mesh, 1)
    key = f"tm:cared:r:{task_id}".encode()
    # the third copy may be left to a leader, and there is none
    wait_until(lambda: sum(key in records(three_nodes, at) for at in range(3)) >= 2, RUN_S)
    copies = [found[key] for at in range(3) if key in (found := records(three_nodes, at))]
    view, slot = mesh.link.view, int(copies[0][52:56], 16)
    places = [view.member(node).address for node in view.table[slot]]
    primary, *backups = [next(at for at in range(3) if place in three_nodes.urls[at]) for place in places]
    had = [at for at in backups if key in records(three_nodes, at)]
    link = mesh.link.open()
    care = NodeCare(link, link.several, mesh.agreement, 1, lambda: True)
    try:
        care.watch.look(view)
        three_nodes.kill(primary)
        three_nodes.start(primary)
        with three_nodes[primary].client() as client:
            client.delete(key)
            client.srem(f"tm:cared:L:{slot:04x}", task_id)
        care.leveling._left, care.leveling._view = [slot], view.number
        care.leveling.look(view)
        assert care.leveling._missed
    finally:
        care.close()
    assert had
    assert all(key in records(three_nodes, at) for at in had)


def test_a_view_is_told_to_all_that_a_leader_of_before_has_told_some(
    mesh: TaskMesh, three_nodes: Nodes
) -> None:
    """It was written after this leader had read the register, by one that had not noticed that its lead was over."""
    link = mesh.link.open()
    register = ViewRegister(mesh.agreement.registers, os.urandom)
    care = NodeCare(link, link.several, mesh.agreement, 1, lambda: True)
    try:
        care.turn()
        view = link.view
        first, *others = view.members
        newer = replace(view, number=view.number + 1, members=(replace(first, weight=101), *others))
        version = mesh.agreement.run(register.read()).version
        mesh.agreement.run(register.write(newer, version))
        told = next(at for at, url in enumerate(three_nodes.urls) if first.address in url)
        with three_nodes[told].client() as client:
            client.mset({"tm:cared:view": pack(newer), "tm:cared:epoch": newer.epoch})
        with pytest.raises(LeadershipLost):
            care.turn()
        care.turn()
    finally:
        care.close()
    for node in three_nodes:
        with node.client() as client:
            assert client.get("tm:cared:epoch") == newer.epoch
