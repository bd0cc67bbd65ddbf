"""The checks of `taskmesh doctor` that look at facts."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from taskmesh.app import TaskMesh
from taskmesh.cli.doctor import machine, node, state
from taskmesh.cli.doctor.finding import Level, fail
from taskmesh.cli.doctor.parked import check_parked, parked
from taskmesh.cli.key_place import KeyPlace
from taskmesh.cli.node_remedy import remedy, remedy_of_embedded
from taskmesh.codec.keyring import Keyring
from taskmesh.coordination.candidates import CandidateSeen
from taskmesh.nodes.embedded_paths import make_folders
from taskmesh.nodes.embedded_several import settled
from taskmesh.nodes.keyfile import write_key_file
from taskmesh.nodes.node_facts import facts_of
from taskmesh.nodes.room import existing
from taskmesh.nodes.sync_driver import ANEW, WHO_ADMITS
from taskmesh.queue.manage import Status
from tests.unit.cli.test_strangers import ONE, OTHER

GOOD = facts_of(
    {
        "redis_version": "7.2.4",
        "valkey_version": "9.1.2",
        "redis_mode": "standalone",
        "role": "master",
        "used_memory": "1000",
        "maxmemory": "1000000",
        "maxmemory_policy": "noeviction",
        "aof_enabled": "1",
        "uptime_in_seconds": "5",
    },
    {"appendfsync": "no", "aof-load-truncated": "yes", "save": ""},
)
EMPTY = Status({}, 0, 0, 0, {}, [], {})


def levels(findings) -> set[Level]:
    return {finding.level for finding in findings}


def worst(findings) -> Level:
    found = levels(findings)
    return next(level for level in (Level.FAIL, Level.WARN, Level.OK) if level in found)


def test_a_good_server_is_fine():
    assert (GOOD.product, GOOD.release) == ("valkey", (9, 1))
    assert GOOD.persistence == "append-only file, fsync no"
    for findings in (
        node.check_server(GOOD),
        node.check_persistence(TaskMesh("d"), GOOD),
        node.check_memory(GOOD),
    ):
        assert levels(findings) == {Level.OK}


@pytest.mark.parametrize(
    "facts",
    [
        replace(GOOD, mode="cluster"),
        replace(GOOD, mode="sentinel"),
        replace(GOOD, version="7.1.9"),
        replace(GOOD, product="redis", version="6.2.14"),
        replace(GOOD, role="slave"),
    ],
)
def test_a_server_that_cannot_serve_fails(facts):
    assert worst(node.check_server(facts)) is Level.FAIL


def test_redis_seven_serves():
    assert worst(node.check_server(replace(GOOD, product="redis", version="7.0.15"))) is Level.OK


@pytest.mark.parametrize(
    ("durability", "facts", "level"),
    [
        ("process", replace(GOOD, append_only=False), Level.FAIL),
        ("process", replace(GOOD, append_failed=True), Level.FAIL),
        ("process", replace(GOOD, fsync="everysec"), Level.WARN),
        ("process", replace(GOOD, fsync="always"), Level.OK),
        ("process", replace(GOOD, fsync=None), Level.OK),
        ("disk", GOOD, Level.FAIL),
        ("disk", replace(GOOD, fsync="always"), Level.FAIL),
        ("disk", replace(GOOD, fsync="always", load_truncated=False), Level.OK),
        ("disk", replace(GOOD, fsync=None), Level.WARN),
        ("memory", replace(GOOD, append_only=False), Level.WARN),
    ],
)
def test_persistence_is_held_against_the_promise(durability, facts, level):
    mesh = TaskMesh("d", durability=durability)
    assert worst(node.check_persistence(mesh, facts)) is level


@pytest.mark.parametrize(
    ("facts", "level"),
    [
        (replace(GOOD, memory_limit=0), Level.WARN),
        (replace(GOOD, memory_used=850_000), Level.WARN),
        (replace(GOOD, memory_used=990_000), Level.FAIL),
        (replace(GOOD, policy="allkeys-lru"), Level.FAIL),
        (replace(GOOD, policy="allkeys-lru", memory_limit=0), Level.WARN),
    ],
)
def test_memory(facts, level):
    assert worst(node.check_memory(facts)) is level


def test_a_leader_for_whom_nobody_stands_by_where_nodes_may_be_lost():
    one = CandidateSeen("w1", "host:1", leads=True, told_ms=1)
    (alone,) = state.check_stand_by([one], has_several=True)
    assert (alone.level, "w1 leads, nobody stands by" in alone.text) == (Level.WARN, True)
    assert levels(state.check_stand_by([one], has_several=False)) == {Level.OK}
    assert levels(state.check_stand_by([one, replace(one, leads=False)], has_several=True)) == {Level.OK}
    assert not list(state.check_stand_by([], has_several=True))  # the check `leader` says so


def test_queues_that_nobody_serves():
    counted = replace(EMPTY, queues={"default": 2, "slow": 3, "empty": 0})
    findings = list(state.check_queues(counted, [ONE], lambda queue: f"taskmesh worker app:mesh -Q {queue}"))
    assert [(finding.level, "slow" in finding.text) for finding in findings] == [(Level.WARN, True)]
    assert findings[0].remedy == "taskmesh worker app:mesh -Q slow"


def test_a_paused_queue_is_told():
    counted = replace(EMPTY, queues={"default": 2}, paused=frozenset({"default"}))
    (finding, _) = state.check_queues(counted, [ONE], lambda queue: f"taskmesh worker app:mesh -Q {queue}")
    assert (finding.level, finding.remedy) == (Level.WARN, "taskmesh queue resume default")


def test_what_is_left_behind():
    assert levels(state.check_dead_letters(EMPTY)) == {Level.OK}
    assert levels(state.check_dead_letters(replace(EMPTY, dead=3))) == {Level.WARN}


def test_of_what_is_parked_the_queue_is_named_and_who_knows_the_task_elsewhere():
    assert levels(check_parked(TaskMesh("d"), EMPTY, [ONE])) == {Level.OK}
    knows = replace(OTHER, queues=("mail",))
    found = parked(2, [("app.mul", "default")], [ONE, knows])
    assert found.level is Level.WARN
    assert "app.mul in default; it is known to other (queues mail), not on that queue" in found.text
    assert "taskmesh worker APP -Q default" in found.remedy
    # the other build of a deploy takes some of it again and again
    assert "known to" not in parked(2, [("app.mul", "default")], [ONE, OTHER]).text
    assert "-Q THEIR_QUEUE" in parked(2, [], [ONE]).remedy


def test_workers_that_are_gone_do_not_count():
    assert worst(state.check_workers([ONE], [], "start")) is Level.OK
    assert [finding.level for finding in state.check_workers([ONE], [], "start", [ONE])] == [Level.WARN]
    findings = list(state.check_workers([ONE], [ONE], "start"))
    assert levels(findings) == {Level.WARN}
    assert findings[-1].remedy == "start"


def test_builds():
    assert worst(state.check_builds([ONE, replace(ONE, incarnation="c")])) is Level.OK
    assert worst(state.check_builds([ONE, replace(ONE, incarnation="c", build="2")])) is Level.WARN
    assert worst(state.check_builds([ONE, OTHER])) is Level.FAIL
    assert list(state.check_builds([])) == []


def test_the_key_is_looked_at_and_not_made(tmp_path):
    path = tmp_path / "key"
    own = KeyPlace(path, None, "this account's own key")
    assert worst(machine.check_key(own, is_local=True)) is Level.OK
    assert worst(machine.check_key(own, is_local=False)) is Level.FAIL
    assert worst(machine.check_key(replace(own, source="TASKMESH_KEY_FILE"), is_local=True)) is Level.FAIL
    assert not path.exists()
    write_key_file(path, Keyring.new())
    assert worst(machine.check_key(own, is_local=True)) is Level.OK
    path.chmod(0o644)
    assert worst(machine.check_key(own, is_local=True)) is Level.FAIL


def test_the_state_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TASKMESH_STATE_DIR", str(tmp_path / "state"))
    assert worst(machine.check_state_folder()) is Level.OK
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    host = machine.Path(machine.host_folder())
    host.mkdir(mode=0o700)
    (host / "shop").mkdir(mode=0o700)
    assert worst(machine.check_state_folder()) is Level.OK
    (host / "shop").chmod(0o777)
    assert worst(machine.check_state_folder()) is Level.WARN
    host.chmod(0o777)
    assert worst(machine.check_state_folder()) is Level.WARN


@pytest.mark.parametrize(
    ("refusal", "advice"),
    [
        ("PING: NOAUTH Authentication required.", "password"),
        ("AUTH: WRONGPASS invalid username-password pair", "password"),
        ("INFO: NOPERM User has no permissions", "password"),
        ("PING: MISCONF Errors writing to the AOF file: No space left on device", "disk is full"),
        ("PING: ERR something else", "log"),
    ],
)
def test_advice_suits_the_refusal(refusal, advice):
    assert advice in node.advice_on(refusal)


def test_a_silent_node_on_a_full_disk_needs_room(tmp_path):
    assert remedy_of_embedded("d", tmp_path, 4096) == (
        f"make room on the disk that holds {tmp_path}, it is full; the node then goes on by itself"
    )
    assert remedy_of_embedded("d", tmp_path, 1 << 30).startswith("`taskmesh down --mesh d`")


def test_of_several_the_node_that_is_away_is_named(tmp_path):
    up, gone, missing = (tmp_path / name for name in ("up", "gone", "missing"))
    mesh = TaskMesh("d", nodes=[f"unix://{path}" for path in (up, gone, missing)])
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(up))
        server.listen()
        with socket.socket(socket.AF_UNIX) as ended:
            ended.bind(str(gone))
        assert remedy(mesh, f"unix://{gone}").startswith(f"{gone} is stale, no server listens on it")
        assert remedy(mesh, f"unix://{missing}").startswith(f"there is no socket {missing}")
        assert remedy(mesh, f"unix://{up}") == f"a server listens on {up}: look at its log"


def test_a_server_that_waits_to_be_admitted_needs_a_leader_and_nothing_else():
    found = node.check_admitted(f"redis://n1:6379: {ANEW}; {WHO_ADMITS}")
    assert found == fail("node", f"redis://n1:6379: {ANEW}", WHO_ADMITS)
    assert node.check_admitted("redis://n1:6379: connection refused") is None


def test_of_several_embedded_nodes_each_is_looked_at(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TASKMESH_STATE_DIR", str(tmp_path_factory.mktemp("s")))
    _, second, _ = settled("d", 3)
    make_folders(second)
    with socket.socket(socket.AF_UNIX) as ended:
        ended.bind(second.socket)
    found, runs = node.check_embedded(TaskMesh("d"))
    assert ([finding.level for finding in found], runs) == ([Level.OK, Level.WARN, Level.OK], False)
    assert f"{second.socket} is stale" in found[1].text
    said = remedy(TaskMesh("d"), f"unix://{second.socket}")
    assert said.endswith(f"it is started again by itself; else see {second.server_log}")


def test_the_room_is_looked_at_before_the_folder_of_a_node_exists(tmp_path, monkeypatch):
    monkeypatch.setenv("TASKMESH_STATE_DIR", str(tmp_path / "not" / "yet"))
    assert existing(tmp_path / "not" / "yet") == tmp_path
    assert remedy(TaskMesh("d")).startswith("`taskmesh down --mesh d`")
