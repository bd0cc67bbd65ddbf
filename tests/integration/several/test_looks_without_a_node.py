"""What operators see while nodes are away, on servers that are killed: what the others say, and who is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from taskmesh import TaskMesh
from taskmesh.cli.main import cli
from taskmesh.cli.top.watching import Watching
from taskmesh.client.inspect import Inspection
from taskmesh.nodes.look import Look
from taskmesh.nodes.mesh_driver import MeshDriver
from tests.nodes import Nodes
from tests.support import wait_until

KEY = "0" * 64
NAME = "halved"
COUNT = 60
#: Each command that only looks at what stands on all nodes.
LOOKS = [
    ["status"],
    ["queues"],
    ["workers"],
    ["dead", "list"],
    ["inspect", "scheduled"],
    ["inspect", "active"],
    ["top", "--once"],
]
#: Those that look at what acceptors keep, or at a single message; but for those that wait for a node for seconds.
OTHERS = [
    ["nodes"],
    ["schedule", "list"],
    ["lock", "list"],
    ["files", "ls"],
    ["transaction", "list"],
    ["acceptors", "list"],
    ["dead", "show", "01890000-0000-7000-8000-000000000000"],
    ["doctor"],
]


@pytest.fixture
def mesh(three_nodes: Nodes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return a mesh with one copy of each message, of which nobody would make another: no leader runs."""
    monkeypatch.setenv("TASKMESH_NODES", ",".join(three_nodes.urls))
    monkeypatch.setenv("TASKMESH_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    with TaskMesh(NAME, replicas=1, send_timeout=60) as made:

        @made.task(name="add")
        def add(x: int, y: int) -> int:
            return x + y

        with made.batch():
            for at in range(COUNT):
                add.apply_async((at, at), countdown=0 if at % 2 else 3600)
        _ = made.agreement.registers
        yield made


def asked(*words: str) -> Any:
    return CliRunner().invoke(cli, [*words, "--mesh", NAME])


def ids_of(mesh: TaskMesh, nodes: Nodes, *places: int) -> list[str]:
    return sorted(
        member.id for member in mesh.link.view.members if member.address in {nodes[at].url for at in places}
    )


@pytest.mark.parametrize("killed", [(1,), (0, 2)], ids=["one", "two"])
def test_whoever_looks_is_told_what_the_others_have_and_who_is_away(mesh, three_nodes, killed):
    before = json.loads(asked("status", "--json").stdout)
    assert (before["ready"], before["delayed"], before["nodes_away"]) == (COUNT // 2, COUNT // 2, [])
    away = ids_of(mesh, three_nodes, *killed)
    for at in killed:
        three_nodes.kill(at)
    for words in LOOKS:
        done = asked(*words)
        assert (words, done.exit_code, done.exception) == (words, 0, None)
        for node in away:
            assert f"node {node} " in done.stderr + done.stdout or words[0] == "inspect", (words, done.output)
    told = json.loads(asked("status", "--json").stdout)
    assert told["nodes_away"] == away
    assert 0 < told["ready"] < COUNT // 2
    assert 0 < told["delayed"] < COUNT // 2
    assert [node["id"] for node in told["nodes"] if not node["answers"]] == away
    (row,) = json.loads(asked("queues", "--json").stdout)
    assert (row["nodes_away"], row["ready"]) == (away, told["ready"])
    assert json.loads(asked("dead", "list", "--json").stdout)["nodes_away"] == away
    shown = json.loads(asked("inspect", "scheduled", "--json").stdout)["node"]
    assert len(shown) == told["delayed"]


def test_who_watches_goes_on_without_a_majority_and_sees_who_is_away(mesh, three_nodes):
    watching = Watching(mesh, lambda: None)
    watching.start()
    try:
        wait_until(lambda: watching.seen is not None, what="a first look")
        three_nodes.kill(0)
        three_nodes.kill(2)
        silent = ids_of(mesh, three_nodes, 0, 2)

        def seen() -> bool:
            found = watching.seen
            return found is not None and silent == sorted(
                node.name for node in found.nodes if node.state == "does not answer"
            )

        wait_until(seen, what=f"{silent} are seen as silent; {watching.trouble}")
        wait_until(
            lambda: "no majority" in watching.leader_trouble, what="it says why nobody knows who leads"
        )
        last_s = watching.seen.at_s
        wait_until(lambda: watching.seen.at_s > last_s, what="it is looked at again")
    finally:
        watching.stop()


def test_who_watches_waits_once_for_nodes_that_stand_still(mesh, three_nodes, monkeypatch):
    """And sees at once when one of them goes on."""
    watching = Watching(mesh, lambda: None)
    watching.look()
    for at in (0, 2):
        three_nodes.stop(at)
    still = ids_of(mesh, three_nodes, 0, 2)

    def silent() -> list[str]:
        watching.look()
        return sorted(node.name for node in watching.seen.nodes if node.state == "does not answer")

    assert silent() == still
    asked: set[str] = set()
    perform = MeshDriver.perform

    def watched(driver: MeshDriver, request: Any, *more: Any) -> Any:
        asked.update(call.node for call in getattr(request, "calls", request))
        return perform(driver, request, *more)

    monkeypatch.setattr(MeshDriver, "perform", watched)
    assert silent() == still
    assert asked == set(ids_of(mesh, three_nodes, 1))

    three_nodes.go_on(0)
    wait_until(lambda: (watching.ask_the_silent(), silent())[1] == ids_of(mesh, three_nodes, 2))


def test_a_look_at_workers_waits_for_nobody_who_was_silent_in_the_look_it_is_part_of(mesh, three_nodes):
    mesh.link.open()
    (silent,) = ids_of(mesh, three_nodes, 1)
    look = Look(mesh.link)
    look.away[silent] = "it was silent a moment ago"
    inspection = Inspection(mesh.link, look=look)
    assert inspection.workers() == []
    assert inspection.away == {silent: "it was silent a moment ago"}


def test_no_other_look_ends_in_a_traceback(mesh, three_nodes):
    for at in (0, 2):
        three_nodes.kill(at)
    for words in OTHERS:
        done = asked(*words)
        assert done.exit_code in (0, 1), (words, done.output)
        assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)
        assert "Traceback" not in done.output
