"""Nodes are added, emptied, taken out and weighed while the mesh works: by Python and by the commands."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner

from taskmesh import TaskMesh
from taskmesh.cli.main import cli
from taskmesh.errors import NodeUnavailable, TaskTimeout, UsageError
from taskmesh.nodes.acceptor_care import AcceptorCare
from taskmesh.nodes.node_changes import NodeChanges
from taskmesh.replication.ask import plain
from taskmesh.replication.view import UP
from taskmesh.scheduler import leveling
from taskmesh.scheduler.node_care import NodeCare
from tests.integration.several.conftest import look_after
from tests.nodes import Nodes
from tests.support import wait_until

pytestmark = pytest.mark.slow

KEY = "d" * 64
NAME = "changed"
RUN_S = 90


@pytest.fixture
def four(make_nodes: Callable[..., Nodes]) -> Nodes:
    """Return four servers: three for the mesh, and one more."""
    return make_nodes(4)


@pytest.fixture
def mesh(four: Nodes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[TaskMesh]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TASKMESH_NODES", ",".join(four.urls[:3]))
    monkeypatch.setenv("TASKMESH_KEY", KEY)
    with TaskMesh(NAME, slots=64, replicas=2) as made:
        made.link.open()
        yield made


@pytest.fixture
def leader(mesh: TaskMesh, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have a leader look after the nodes in a thread, who takes none for gone that a busy machine keeps silent."""
    monkeypatch.setattr("taskmesh.replication.observing.SILENT_S", 60.0)
    own = TaskMesh(NAME, slots=64)
    link = own.link.open()
    over = threading.Event()
    care = NodeCare(link, link.several, own.agreement, 1, lambda: not over.is_set())
    thread = threading.Thread(target=look_after, args=(care, over))
    thread.start()
    yield
    over.set()
    thread.join()
    care.close()
    own.close()


def run(*words: str, code: int = 0) -> Any:
    done = CliRunner().invoke(cli, ["nodes", *words, "--mesh", NAME, "--json"])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout) if code == 0 else done.stderr


def send(mesh: TaskMesh, count: int) -> list[str]:
    @mesh.task(name="add")
    def add(x: int, y: int) -> int:
        return x + y

    return [add.delay(at, at).id for at in range(count)]


def held(mesh: TaskMesh, node: str) -> int:
    several = mesh.link.several
    return len(several.newest(several.standing).held_by(node))


def test_one_comes_and_another_goes_and_nothing_is_lost(mesh, leader, four):
    ids = send(mesh, 40)
    added = mesh.nodes.add(four.urls[3], timeout=RUN_S)
    assert added == "n4"
    assert held(mesh, "n4") == 32
    ids += send(mesh, 20)
    assert mesh.nodes.remove("n1", timeout=RUN_S) == "n1"
    assert held(mesh, "n1") == 0
    states = {member.id: member.state for member in mesh.nodes.members()}
    assert states == {"n1": "drained", "n2": UP, "n3": UP, "n4": UP}
    assert {mesh.result(each).state for each in ids} == {"PENDING"}


def test_the_commands_do_the_same_and_tell_what_moves(mesh, leader, four):
    send(mesh, 10)
    told = run("add", four.urls[3], "--dry-run")
    assert (told["node"], told["dry_run"], told["done"]) == ("n4", True, False)
    assert 0 < told["copies_moved"] <= 40
    plain = CliRunner().invoke(cli, ["nodes", "add", four.urls[3], "--dry-run", "--mesh", NAME])
    assert plain.stdout.startswith(f"n4 joins: {told['copies_moved']} of 128 copies of slots travel")
    assert len(mesh.nodes.members()) == 3
    told = run("add", four.urls[3])
    assert (told["node"], told["done"]) == ("n4", True)
    assert run("weight", "n4", "200", "--domain", "rack2")["done"]
    member = mesh.nodes.members()[3]
    assert (member.weight, member.domain) == (200, "rack2")
    assert run("add", four.urls[3])["done"]
    assert mesh.nodes.members()[3] == member
    assert run("add", four.urls[3], "--domain", "rack3")["done"]
    member = mesh.nodes.members()[3]
    assert (member.weight, member.domain) == (200, "rack3")
    assert run("drain", four.urls[3])["node"] == "n4"
    assert held(mesh, "n4") == 0
    assert run("weight", "n4", "100")["done"]
    assert held(mesh, "n4") > 0


def test_a_node_that_is_weighed_is_not_done_before_its_share_has_moved(mesh, leader, four):
    send(mesh, 10)
    run("add", four.urls[3])
    assert held(mesh, "n4") == 32
    done = CliRunner().invoke(cli, ["nodes", "weight", "n4", "300", "--mesh", NAME])
    assert held(mesh, "n4") == 64
    assert done.stdout == "n4 has weight 300: done, it keeps 64 slots\n"
    assert mesh.nodes.weigh("n4", 100, timeout=RUN_S) == "n4"
    assert held(mesh, "n4") < 40


def test_shares_that_are_a_little_uneven_stay_and_no_move_is_promised(mesh, leader, four):
    run("add", four.urls[3])
    told = run("weight", "n4", "101")
    assert (told["copies_moved"], told["primaries_moved"], told["done"]) == (0, 0, True)
    assert held(mesh, "n4") == 32


def comes_to_rest(mesh: TaskMesh, node: str) -> None:
    """Wait until copies were compared twice from beginning to end, with all that follows."""
    link = mesh.link.at(node)
    key = link.prefix + b"level"
    for _ in range(2):
        before = link.clock.now_ms()
        wait_until(
            lambda since=before: int(link.run(plain(link.session, b"GET", key)) or b"0") > since,
        )


def test_the_address_of_one_who_left_may_be_used_again(mesh, leader, four, monkeypatch):
    """Under its new name, with nothing dropped of what it has now."""
    monkeypatch.setattr(leveling, "LEVEL_S", 0.2)
    ids = send(mesh, 60)
    mesh.nodes.add(four.urls[3], timeout=RUN_S)
    mesh.nodes.remove("n4", timeout=RUN_S)
    with redis.Redis.from_url(four.urls[3]) as server:
        server.flushall()
    assert mesh.nodes.add(four.urls[3], timeout=RUN_S) == "n5"
    comes_to_rest(mesh, "n5")
    assert {mesh.result(each).state for each in ids} == {"PENDING"}


def test_a_server_at_the_address_of_one_who_left_is_let_alone(mesh, leader, four, monkeypatch):
    """It may be anybody's by then."""
    monkeypatch.setattr(leveling, "LEVEL_S", 0.2)
    mesh.nodes.add(four.urls[3], timeout=RUN_S)
    mesh.nodes.remove("n4", timeout=RUN_S)
    comes_to_rest(mesh, "n1")
    with redis.Redis.from_url(four.urls[3]) as server:
        server.flushall()
        comes_to_rest(mesh, "n1")
        mesh.nodes.weigh("n1", 101, timeout=RUN_S)
        mesh.nodes.weigh("n1", 50, timeout=RUN_S)
        assert server.keys() == []


def test_one_server_under_two_names_is_one_member(mesh, four, request, monkeypatch):
    """Both were written down before anybody could tell."""
    monkeypatch.setattr(leveling, "LEVEL_S", 0.2)
    ids = send(mesh, 40)
    for url in (four.urls[3], four.urls[3].replace("127.0.0.1", "localhost")):
        with pytest.raises(TaskTimeout):
            mesh.nodes.add(url, timeout=0.5)
    request.getfixturevalue("leader")
    wait_until(lambda: held(mesh, "n4") or held(mesh, "n5"), timeout_s=RUN_S)
    comes_to_rest(mesh, "n1")
    assert sorted((held(mesh, "n4"), held(mesh, "n5"))) == [0, 32]
    assert {mesh.result(each).state for each in ids} == {"PENDING"}


def test_without_a_leader_it_is_written_down_and_goes_on_later(mesh, four, request):
    assert run("add", four.urls[3], "--no-wait")["done"] is False
    with pytest.raises(TaskTimeout, match=r"n4 waits for the leader, and is not done within 0\.1 s"):
        mesh.nodes.add(four.urls[3], timeout=0.1)
    request.getfixturevalue("leader")
    wait_until(lambda: held(mesh, "n4"), RUN_S)


def test_who_watches_hears_of_views_that_servers_were_admitted_by_that_all_began_anew(mesh, four, request):
    """Else a command waits for ever for what was done long ago, if the only node that it knows was started anew."""
    several = mesh.link.several
    before = several.newest(several.standing)
    for at in range(3):
        four.kill(at)
    for at in range(3):
        four.start(at)
    request.getfixturevalue("leader")
    wait_until(lambda: several.newest(several.standing).number > before.number, RUN_S)


def test_who_does_not_answer_while_it_joins_is_told_of(mesh, four, request, caplog):
    run("add", four.urls[3], "--no-wait")
    four.kill(3)
    request.getfixturevalue("leader")
    changes = NodeChanges(mesh.agreement, "process")
    change = changes.adding(four.urls[3])
    hindrances = (progress.hindrance for progress in changes.watch(change))
    assert f"{four.urls[3]} does not answer: " in next(filter(None, hindrances))
    said = f"nodes: n4 ({four.urls[3]}) is to be copied to, and does not answer: "
    wait_until(lambda: said in caplog.text, RUN_S)
    four.start(3)
    done = CliRunner().invoke(cli, ["nodes", "add", four.urls[3], "--mesh", NAME])
    assert (done.exit_code, "n4 joins: done" in done.stdout) == (0, True)
    assert caplog.text.count(said) == 1


def test_another_node_takes_the_place_of_an_acceptor_that_leaves(mesh, leader, four):
    """Else a mesh whose nodes are replaced one by one had no majority of acceptors left in the end."""
    run("add", four.urls[3])
    member = mesh.nodes.members()[0]
    done = CliRunner().invoke(cli, ["nodes", "remove", "n1", "--mesh", NAME])
    assert done.stdout == "n1 leaves: done; its server can be ended now\n"
    four.kill(four.urls.index(member.address))
    places = [each.address for each in AcceptorCare(mesh.agreement).members().members]
    assert sorted(places) == sorted(url for url in four.urls if url != member.address)


def test_an_acceptor_stays_where_no_other_node_can_take_its_place(mesh, four):
    refused = run("remove", "n1", code=2)
    assert "n1 is an acceptor too" in refused
    assert "there is no other node to take its place: add a node first" in refused


def test_an_acceptor_that_the_settings_name_stays_one(four):
    with TaskMesh(NAME, nodes=four.urls[:3], acceptors=four.urls[:3], key=KEY, replicas=2) as named:
        named.link.open()
        assert named.agreement.registers
        changes = NodeChanges(named.agreement, "process")
        assert changes.named_acceptor_of(changes.removing("n1")) in four.urls


def test_a_node_that_is_no_acceptor_can_be_ended(mesh, leader, four):
    run("add", four.urls[3])
    done = CliRunner().invoke(cli, ["nodes", "remove", "n4", "--mesh", NAME])
    assert "acceptor" not in done.stderr
    assert done.stdout == "n4 leaves: done; its server can be ended now\n"


def test_an_acceptor_is_known_by_its_process_where_it_has_another_name(four):
    named = [url.replace("127.0.0.1", "localhost") for url in four.urls[:3]]
    with TaskMesh(NAME + "too", nodes=four.urls[:3], acceptors=named, key=KEY, replicas=2) as too:
        too.link.open()
        assert too.agreement.registers
        changes = NodeChanges(too.agreement, "process")
        assert changes.acceptor_of(changes.removing("n1")) in named


def test_fewer_nodes_than_copies_are_refused(mesh, four):
    mesh.nodes.drain("n1", timeout=0)
    with TaskMesh(NAME + "3", nodes=four.urls[:3], key=KEY, slots=64) as three:
        three.link.open()
        for refused in (three.nodes.remove, three.nodes.drain):
            with pytest.raises(
                UsageError, match=r"without n1 the mesh has 2 nodes .*, and 3 copies .* add a node"
            ):
                refused("n1")


def test_who_is_no_node_is_named_with_those_that_are(mesh, four):
    with pytest.raises(UsageError, match=r"'n9' is no node of this mesh; it has n1 \(redis://"):
        mesh.nodes.drain("n9")
    assert "is no node of this mesh" in run("remove", "redis://10.0.0.9", code=2)


def test_two_that_are_added_at_once_get_two_ids(mesh, make_nodes, four):
    """Both were looked at before either was wished for."""
    other = make_nodes(1).urls[0]
    changes = NodeChanges(mesh.agreement, "process")
    first, second = changes.adding(four.urls[3]), changes.adding(other, weight=50)
    assert (first.node, second.node) == ("n4", "n4")
    first, second = changes.wish(first), changes.wish(second)
    assert (first.node, second.node) == ("n4", "n5")
    assert (second.wish.address, second.wish.weight) == (other, 50)
    assert [changes.adding(url).node for url in (four.urls[3], other)] == ["n4", "n5"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("appendonly", "no"), "what it accepted dies with it; set appendonly yes"),
        (("appendfsync", "everysec"), "a reply may precede the write"),
        (("maxmemory-policy", "allkeys-lru"), "when full it throws messages away; set noeviction"),
    ],
)
def test_a_server_that_may_lose_something_is_refused(mesh, four, words, says):
    with four[3].client() as client:
        client.config_set(*words)
    with pytest.raises(UsageError, match=says) as caught:
        mesh.nodes.add(four.urls[3])
    assert f"{four.urls[3]} cannot be a node" in str(caught.value)


def test_a_server_that_holds_the_mesh_or_is_away_or_is_none_is_refused(mesh, four):
    with TaskMesh(NAME, nodes=[four.urls[3]], key=KEY, embedded=None) as alone:
        alone.link.open()
    with pytest.raises(UsageError, match="it holds it by itself; give an empty server"):
        mesh.nodes.add(four.urls[3])
    four.kill(3)
    with pytest.raises(NodeUnavailable):
        mesh.nodes.add(four.urls[3])
    with pytest.raises(UsageError, match="is redis://somewhere meant"):
        mesh.nodes.add("somewhere")


def test_a_clock_that_is_off_is_refused(mesh, four):
    now_s = time.monotonic()
    mesh.link.clock.measured(time.time() + 500, now_s, now_s)
    with pytest.raises(UsageError, match=r"its clock differs from the mesh's by -[45]\d\d\.\d s"):
        NodeChanges(mesh.agreement, "process").adding(four.urls[3])


def test_a_mesh_of_one_node_has_none_to_change(four):
    with (
        TaskMesh(NAME, nodes=[four.urls[3]], key=KEY) as alone,
        pytest.raises(UsageError, match="runs on one node: add another"),
    ):
        alone.nodes.drain("n1")


def test_what_was_asked_for_and_not_begun_is_kept_when_it_is_said_again(mesh, four):
    run("add", four.urls[3], "--weight", "300", "--domain", "rack4", "--no-wait")
    change = NodeChanges(mesh.agreement, "process").adding(four.urls[3])
    assert (change.node, change.wish.weight, change.wish.domain) == ("n4", 300, "rack4")


def test_a_drained_member_is_told_how_it_takes_part_again_and_not_to_be_emptied(mesh, leader, four):
    mesh.nodes.drain("n2", timeout=RUN_S)
    address = mesh.nodes.members()[1].address
    for name in (address, address.replace("127.0.0.1", "localhost")):
        refused = run("add", name, "--dry-run", code=2)
        assert f"{name} is n2 of this mesh" in refused
        assert "was drained: `taskmesh nodes weight n2 100` has it take part again" in refused
        assert "FLUSHALL" not in refused


def test_a_member_by_another_address_is_known(mesh, four):
    member = mesh.nodes.members()[2]
    alias = member.address.replace("127.0.0.1", "localhost")
    refused = run("add", alias, "--dry-run", code=2)
    assert f"{alias} is n3 of this mesh already, known as {member.address} (up)" in refused
    assert "FLUSHALL" not in refused


def test_the_only_node_by_another_address_is_known(four):
    with TaskMesh(NAME, nodes=[four.urls[3]], key=KEY) as alone:
        alone.link.open()
        with pytest.raises(UsageError, match=r"is n1 of this mesh already, known as") as caught:
            alone.nodes.add(four.urls[3].replace("127.0.0.1", "localhost"))
        assert "FLUSHALL" not in str(caught.value)


def test_a_removed_node_joins_anew_when_it_was_emptied(mesh, leader, four):
    run("add", four.urls[3])
    run("remove", "n4")
    refused = run("add", four.urls[3], code=2)
    assert "it has the data of n4 of this mesh, which was removed for good" in refused
    assert "empty this one (FLUSHALL)" in refused
    with four[3].client() as client:
        client.flushall()
    assert run("add", four.urls[3])["node"] == "n5"


def test_who_was_removed_is_told_from_who_was_drained_and_stays_out(mesh, leader, four):
    run("add", four.urls[3])
    run("drain", "n3")
    run("remove", "n2")
    shown = {node["id"]: node["state"] for node in run()["nodes"]}
    assert shown == {"n1": "up", "n3": "drained", "n4": "up"}
    assert run("--all")["nodes"][1]["state"] == "removed"
    address = mesh.nodes.members()[1].address
    for words in (("weight", "n2", "100"), ("weight", "n2", "0"), ("drain", address)):
        refused = run(*words, code=2)
        assert f"n2 ({address}) was removed from this mesh for good" in refused
    assert {member.id: member.state for member in mesh.nodes.members()}["n2"] == "drained"
    # said again it is done, and who is drained comes back
    assert run("remove", "n2")["done"]
    assert run("weight", "n3", "100")["done"]
