"""What `taskmesh nodes` shows of a mesh of several."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from taskmesh import TaskMesh
from taskmesh.cli.acceptor_list import acceptor_findings
from taskmesh.cli.doctor.finding import Level
from taskmesh.cli.main import cli
from taskmesh.core.steps import OUT, Round
from taskmesh.nodes.acceptor_care import AcceptorCare
from taskmesh.nodes.mesh_driver import MeshDriver
from taskmesh.replication.history import Change, note_change
from tests.nodes import Nodes

KEY = "0" * 64
NAME = "shown"


@pytest.fixture
def mesh(three_nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TASKMESH_NODES", ",".join(three_nodes.urls))
    monkeypatch.setenv("TASKMESH_KEY", KEY)
    with TaskMesh(NAME, send_timeout=60) as made:
        yield made


@pytest.fixture
def shown(mesh: TaskMesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Any:
        done = CliRunner().invoke(cli, ["nodes", "--mesh", NAME, *words])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout) if "--json" in words else done.stdout

    return run


def test_each_node_tells_what_it_leads_and_keeps(mesh, shown, three_nodes):
    @mesh.task
    def add(x: int, y: int) -> int:
        return x + y

    for at in range(9):
        add.delay(at, at)
    told = shown("--json")
    view, nodes = told["view"], told["nodes"]
    assert (view["number"], view["phase"], view["replicas"], view["copies_missing"]) == (1, "active", 3, 0)
    assert [node["id"] for node in nodes] == ["n1", "n2", "n3"]
    assert sorted(node["address"] for node in nodes) == sorted(three_nodes.urls)
    assert {(node["state"], node["epoch"], node["slots_held"]) for node in nodes} == {
        ("up", "f00000000001", 1024)
    }
    assert sum(node["slots_led"] for node in nodes) == 1024
    # two copies of each at least; the third follows
    assert sum(node["records"]["live"] for node in nodes) >= 18
    assert all(node["product"] in ("valkey", "redis") for node in nodes)
    assert [report["address"] for report in told["acceptors"]] == [node["address"] for node in nodes]
    assert view["last_failover"] is None


def test_it_says_which_node_does_not_answer_and_why(mesh, shown, three_nodes):
    mesh.link.open()
    (dead,) = [member for member in mesh.link.view.members if member.address == three_nodes.urls[1]]
    _ = mesh.agreement.registers
    three_nodes.kill(1)
    node = next(node for node in shown("--json")["nodes"] if node["id"] == dead.id)
    assert (node["answers"], node["epoch"], node["records"]) == (False, None, None)
    assert node["trouble"]
    three_nodes.start(1)
    node = next(node for node in shown("--json")["nodes"] if node["id"] == dead.id)
    assert "started anew" in node["trouble"]


def test_one_that_stands_still_is_waited_for_once_and_said_not_to_answer(
    mesh, shown, three_nodes, monkeypatch
):
    _ = mesh.agreement.registers
    three_nodes.stop(1)
    asked: list[str] = []
    perform = MeshDriver.perform

    def note(driver: MeshDriver, request: Any, deadline_s: float | None = None) -> Any:
        calls = request.calls if isinstance(request, Round) else request
        silent = [call.node for call in calls if str(driver.member(call.node).place[0]) == three_nodes[1].url]
        replies = perform(driver, request, deadline_s)
        # of the first round a majority is enough, and nobody waits for the rest
        if silent and OUT not in replies:
            asked.extend(silent)
        return replies

    monkeypatch.setattr(MeshDriver, "perform", note)
    told = shown("--json")
    node = next(node for node in told["nodes"] if node["address"] == three_nodes[1].url)
    assert not node["answers"]
    assert node["trouble"].startswith("does not answer: nothing came within ")
    acceptor = next(each for each in told["acceptors"] if each["address"] == three_nodes[1].url)
    assert (acceptor["takes_part"], acceptor["why_not"]) == (False, "it does not answer")
    assert asked == [node["id"]]


@pytest.mark.parametrize("away", [0, 1, 2])
def test_it_does_not_matter_which_node_is_away(mesh, shown, three_nodes, away):
    _ = mesh.agreement.registers
    three_nodes.kill(away)
    assert sum(node["answers"] for node in shown("--json")["nodes"]) == 2


def test_a_name_misspelled_makes_no_mesh(three_nodes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TASKMESH_NODES", ",".join(three_nodes.urls))
    monkeypatch.setenv("TASKMESH_KEY", KEY)
    done = CliRunner().invoke(cli, ["nodes", "--mesh", "shwon"])
    assert (done.exit_code, "there is no mesh 'shwon' on " in done.stderr) == (1, True)
    for server in three_nodes:
        with server.client() as client:
            assert client.dbsize() == 0


def test_it_tells_of_the_last_failover(mesh, shown):
    link = mesh.link.open()
    link.run(note_change(link.session, Change(7, 1_800_000_000_000, 1_800_000_002_400, True, "n2 is gone")))
    link.run(
        note_change(link.session, Change(8, 1_800_000_009_000, 1_800_000_009_100, False, "n2 takes part"))
    )
    told = shown("--json")["view"]
    assert told["last_failover"] == {
        "view": 7,
        "why": "n2 is gone",
        "active_at": "2027-01-15T08:00:02+00:00",
        "took_s": 2.4,
        "failover": True,
    }
    assert [change["view"] for change in told["changes"]] == [8, 7]
    text = shown()
    assert "2027-01-15T08:00:02+00:00, in 2.4 s: n2 is gone" in text
    assert "copies missing" in text
    link.run(note_change(link.session, Change(9, 1_800_000_020_000, 1_800_000_020_040, True, "n3 is gone")))
    assert ", in 40 ms: n3 is gone" in shown()


def test_nodes_that_are_acceptors_and_are_kept_as_the_mesh_asks_are_well(mesh, shown, three_nodes):
    _ = mesh.agreement.registers
    limit = "survives the death of processes, not power loss"
    for report in shown("--json")["acceptors"]:
        assert (report["takes_part"], report["survives"], report["unsafe"]) == (True, "process", [])
    assert "CONFIG SET" not in shown()
    found = {each.check: each for each in acceptor_findings(AcceptorCare(mesh.agreement).reports())}
    for server in three_nodes:
        finding = found[f"acceptor {server.url}"]
        assert (finding.level, finding.remedy) == (Level.OK, "")
        assert limit in finding.text
    with three_nodes[0].client() as client:
        client.config_set("appendfsync", "everysec")
    unsafe = [report["unsafe"] for report in shown("--json")["acceptors"] if report["unsafe"]]
    assert [each["what"] for each in unsafe[0]] == ["appendfsync everysec"]
    assert len(unsafe) == 1


def test_options_stand_behind_the_command(mesh, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["nodes", "--mesh", NAME, "drain", "n1"])
    assert done.exit_code == 2
    assert "there is no command" in done.output or "behind the command" in done.output


@pytest.mark.parametrize("words", [["nodes"], ["status"], ["queues"], ["doctor"]], ids=lambda words: words[0])
def test_who_admits_servers_that_were_started_anew_is_said(mesh, three_nodes, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    mesh.link.open()
    _ = mesh.agreement.registers
    for at in range(3):
        three_nodes.kill(at)
        three_nodes.start(at)
    done = CliRunner().invoke(cli, [*words, "--mesh", NAME])
    assert done.exit_code != 0
    said = " ".join(done.output.split())
    assert said.count("then admits it: start a worker or `taskmesh scheduler` if none runs") == 1


def test_without_a_majority_of_acceptors_it_says_who_is_away_and_that_nothing_can_be_mended(
    mesh, three_nodes, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    mesh.link.open()
    _ = mesh.agreement.registers
    members = {member.address: member.id for member in mesh.link.view.members}
    for at in (1, 2):
        three_nodes.kill(at)
    done = CliRunner().invoke(cli, ["nodes", "--mesh", NAME])
    assert done.exit_code == 1
    assert done.stdout.count("up, no answer") == 2
    assert "2,048 of 3,072 copies: their nodes do not answer" in done.stdout
    assert "impossible: 1 of 3 acceptors take part, and 2 must" in done.stdout
    assert "1 of 3 acceptors take part, and 2 must, so no fail-over can happen" in done.stderr
    assert "bring back their servers" in done.stderr
    for url in three_nodes.urls[1:]:
        assert f"{members[url]} ({url})" in done.stderr
        assert f"--lost {url}" in done.stderr
    done = CliRunner().invoke(cli, ["nodes", "--mesh", NAME, "--json"])
    view = json.loads(done.stdout)["view"]
    assert (done.exit_code, view["can_fail_over"], view["copies_out_of_reach"]) == (1, False, 2048)
