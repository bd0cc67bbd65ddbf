"""What callers and operators see of a mesh of three nodes, with a real worker."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskmesh import TaskMesh
from taskmesh.core.ids import routing_of, slot_of
from taskmesh.queue.manage import FORGOTTEN, forget_queue, status
from taskmesh.queue.oldest import oldest
from tests.nodes import Nodes
from tests.support import wait_until

pytestmark = pytest.mark.needs_server

KEY = "1" * 64
NODES = ["n1", "n2", "n3"]


def wait_for(path: str) -> str:
    """Run until a file is there."""
    while not Path(path).exists():
        time.sleep(0.02)
    return path


def add(x: int, y: int) -> int:
    return x + y


@pytest.fixture(scope="module")
def nodes(tmp_path_factory) -> Iterator[Nodes]:
    made = Nodes(tmp_path_factory.mktemp("nodes"), 3)
    yield made
    made.close()


@pytest.fixture(scope="module")
def mesh(nodes) -> Iterator[TaskMesh]:
    """A mesh with two children."""
    made = TaskMesh("callers", nodes=nodes.urls, key=KEY, send_timeout=60)
    with made.workers(2):
        yield made
    made.close()


@pytest.fixture
def hears_only(monkeypatch) -> None:
    """Have nobody look again at what he waits for: who misses a notice waits until the test fails."""
    monkeypatch.setattr("taskmesh.client.waiter.FIRST_LOOK_S", 3600.0)
    monkeypatch.setattr("taskmesh.client.waiter.LOOK_AGAIN_S", 3600.0)
    monkeypatch.setattr("taskmesh.client.ear.NOBODY_SERVES_S", 3600.0)
    monkeypatch.setattr("taskmesh.client.result.AsyncResult._last_look", lambda handle: None)


def primary(mesh: TaskMesh, task_id: str) -> str:
    view = mesh.link.view
    assert view is not None
    return view.primary(slot_of(routing_of(task_id), view.slots))


def place_of(mesh: TaskMesh, nodes: Nodes, node: str) -> int:
    """Return which of the servers is a node of the mesh."""
    member = mesh.link.view.member(node) if mesh.link.view is not None else None
    assert member is not None
    return nodes.urls.index(member.address)


def test_results_are_heard_from_every_node(mesh, hears_only):
    mesh.submit(add, 0, 0).get(timeout=90)  # from now on it listens, and what is sent is not read
    handles = [mesh.submit(add, number, 1) for number in range(60)]
    assert [handle.get(timeout=90) for handle in handles] == list(range(1, 61))
    assert {primary(mesh, handle.id) for handle in handles} == set(NODES)


def test_results_are_heard_from_every_node_in_a_loop(mesh, hears_only):
    async def main() -> list[Any]:
        handles = [mesh.submit(add, number, 2) for number in range(60)]
        return [await asyncio.wait_for(handle, 90) for handle in handles]

    assert asyncio.run(main()) == list(range(2, 62))


def test_others_are_heard_while_a_node_stands_still(mesh, nodes, tmp_path, hears_only):
    away, files = "n2", [str(tmp_path / f"{number}") for number in range(2)]
    sent: list[Any] = []
    while len(sent) < 2:
        handle = mesh.submit(wait_for, files[len(sent)])
        if primary(mesh, handle.id) != away:
            sent.append(handle)
        else:
            Path(files[len(sent)]).touch()
            handle.get(timeout=90)
            Path(files[len(sent)]).unlink()
    wait_until(lambda: all(handle.state == "STARTED" for handle in sent))
    at = place_of(mesh, nodes, away)
    nodes.stop(at)
    try:
        for path in files:
            Path(path).touch()
        assert [handle.get(timeout=90) for handle in sent] == files
    finally:
        nodes.go_on(at)
    # it may have been given up meanwhile; then it is taken back
    wait_until(lambda: [mesh.submit(add, 1, 1).get(timeout=90), list(mesh.link.nodes)] == [2, NODES])


def test_what_runs_is_shown_whichever_node_it_was_claimed_on(mesh, tmp_path):
    handles = [mesh.submit(wait_for, str(tmp_path / "go")) for _ in range(6)]

    def shown() -> list[dict[str, Any]]:
        rows = [row for each in mesh.inspect().active().values() for row in each]
        return rows if len(rows) == 2 and all(row["started"] for row in rows) else []

    running = wait_until(shown)
    ids = {handle.id for handle in handles}
    assert {row["id"] for row in running} <= ids
    (tmp_path / "go").touch()
    for handle in handles:
        handle.get(timeout=90)


def command(nodes: Nodes, *words: str, codes: tuple[int, ...] = (0,)) -> Any:
    """Run a command on the mesh, and return the JSON that it prints."""
    environ = {**os.environ, "TASKMESH_KEY": KEY, "TASKMESH_NODES": ",".join(nodes.urls)}
    ran = subprocess.run(
        [sys.executable, "-m", "taskmesh", *words, "--mesh", "callers", "--json"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode in codes, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


def test_commands_tell_of_all_nodes(mesh, nodes):
    mesh.submit(add, 1, 1).get(timeout=90)

    # a busy machine may let one stand still for longer than anybody waits for it, and others go on without it
    def told_of_all() -> Any:
        told = command(nodes, "status")
        answering = [node["id"] for node in told["nodes"] if node["answers"]]
        return answering == NODES and len(told["workers"]) == 1 and told

    def nothing_fails() -> Any:
        checks = command(nodes, "doctor", codes=(0, 1))["checks"]
        return {check["level"] for check in checks} <= {"ok", "warn"} and checks

    told = wait_until(told_of_all)
    assert told["totals"]["SUCCESS"] > 0
    checks = wait_until(nothing_fails)
    assert sum(check["check"] == "node" for check in checks) == 3
    assert any(check["check"] == "view" and check["level"] == "ok" for check in checks)


def test_a_queue_is_purged_on_all_nodes(mesh, nodes):
    mesh.pause_queue("default")
    try:
        handles = [mesh.submit(add, number, 1) for number in range(30)]
        assert {primary(mesh, handle.id) for handle in handles} == set(NODES)
        told = command(nodes, "purge", "default", "--yes")
        assert told["revoked"] == 30
        assert command(nodes, "status")["ready"] == 0
    finally:
        mesh.resume_queue("default")
    assert {handle.state for handle in handles} == {"REVOKED"}


def test_what_is_revoked_where_nobody_serves_leaves_nothing_of_its_queue(mesh, nodes):
    handles = [mesh.by_value(add).apply_async((number, 1), queue="unserved") for number in range(60)]
    assert {primary(mesh, handle.id) for handle in handles} == set(NODES)
    for handle in handles:
        handle.revoke()
    counted = mesh.link.run(status(mesh.link.session))
    assert counted.queues["unserved"] == 0
    assert mesh.link.run(oldest(mesh.link.session, ["unserved"])) == {"unserved": 0}
    assert mesh.link.run(forget_queue(mesh.link.session, "unserved")) == FORGOTTEN
