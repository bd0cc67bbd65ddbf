"""Workers of processes, threads and coroutines on a mesh of three nodes, which replicate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskmesh import TaskMesh
from taskmesh.core import keys
from taskmesh.core.ids import routing_of, slot_of
from taskmesh.errors import TaskRevoked, TimeLimitExceeded
from taskmesh.queue.claim import claim
from taskmesh.queue.workers import register
from taskmesh.replication.ask import plain
from taskmesh.replication.observing import read_note
from taskmesh.testing.thread_worker import ThreadWorker
from tests.support import wait_until


@pytest.fixture
def mesh(three_nodes) -> Iterator[TaskMesh]:
    made = TaskMesh("many", nodes=three_nodes.urls, key="s" * 40, send_timeout=90)
    yield made
    made.close()


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def writer(mesh, path: Path, go: Path | None = None):
    """Return a task that writes a line and may take long, until a file is there; it travels by value."""

    @mesh.task
    def write(what: str, seconds: float = 0.0) -> str:
        import time

        with path.open("a") as out:
            out.write(f"{what}\n")
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s and not (go is not None and go.exists()):
            time.sleep(0.01)
        return what

    return write


def wait_for_a_leader(mesh) -> None:
    """Wait until somebody leads, and so looks after the nodes."""
    session = mesh.link.session
    wait_until(lambda: mesh.link.run(plain(session, b"GET", keys.leader(session.prefix))))


def final(result) -> object:
    """Wait for a result by looking."""
    wait_until(result.ready)
    return result.get(timeout=90)


def test_workers_start_though_a_node_stands_still(three_nodes, monkeypatch):
    """Whoever waits for them asks all nodes whether they are there, and the next view does without that one."""
    monkeypatch.setattr("taskmesh.nodes.link.MANY_ANSWER_S", 0.2)
    with TaskMesh("many", nodes=three_nodes.urls, key="s" * 40) as mesh:
        mesh.link.reach(90)
        three_nodes.stop(1)
        with mesh.workers(1):
            three_nodes.go_on(1)


@pytest.mark.parametrize("pool", ["process", "thread", "async"])
def test_each_kind_of_pool_runs_what_any_node_holds(mesh, tmp_path, pool):
    write = writer(mesh, tmp_path / "ran")
    results = [write.delay(str(number)) for number in range(60)]
    primaries = {
        mesh.link.view.primary(slot_of(routing_of(result.id), mesh.link.session.slots)) for result in results
    }
    assert primaries == set(mesh.link.nodes)
    with mesh.workers(2, pool=pool):
        more = [write.delay(str(number)) for number in range(60, 90)]
        assert [final(result) for result in results + more] == [str(number) for number in range(90)]
    assert Counter(lines(tmp_path / "ran")) == Counter(str(number) for number in range(90))


def test_what_waits_behind_a_slow_task_is_taken_by_others(mesh, tmp_path):
    """Sent together they have neighbouring ids, so all are on one node, and a child claims many at once."""
    write = writer(mesh, tmp_path / "ran", tmp_path / "go")
    with mesh.workers(2):
        for result in write.starmap([("warm",)] * 600):
            final(result)
        calls = [(f"before-{number}",) for number in range(5)]
        calls += [("slow", 600.0), *((f"behind-{number}",) for number in range(60))]
        results = list(write.starmap(calls))
        slow = results.pop(5)
        wait_until(lambda: all(result.ready() for result in results))
        assert not slow.ready()
        (tmp_path / "go").touch()
        assert final(slow) == "slow"


@pytest.mark.parametrize("pool", ["process", "thread"])
def test_a_run_is_ended_by_a_revoke_with_terminate(mesh, tmp_path, pool):
    write = writer(mesh, tmp_path / "ran")
    with mesh.workers(2, pool=pool):
        for number in range(3):
            held = write.delay(f"held-{number}", 60.0)
            wait_until(lambda number=number: f"held-{number}" in lines(tmp_path / "ran"))
            held.revoke(terminate=True)
            wait_until(held.ready)
            with pytest.raises(TaskRevoked):
                held.get(timeout=90)


def test_a_hard_limit_ends_one_run_and_no_other(mesh, tmp_path):
    write = writer(mesh, tmp_path / "ran")
    with mesh.workers(1):
        over = [write.apply_async((f"over-{number}", 60.0), time_limit=0.3) for number in range(2)]
        after = write.delay("after")
        for result in over:
            wait_until(result.ready)
            with pytest.raises(TimeLimitExceeded):
                result.get(timeout=90)
        assert final(after) == "after"
    # on a busy machine its time may be over before it has written anything
    ran = Counter(lines(tmp_path / "ran"))
    assert (ran["after"], max(ran.values())) == (1, 1)


def test_a_node_that_is_killed_under_load_costs_no_message(mesh, three_nodes, tmp_path):
    write = writer(mesh, tmp_path / "ran")
    with mesh.workers(2):
        results = [write.delay(f"{number}", 0.02) for number in range(400)]
        wait_until(lambda: len(lines(tmp_path / "ran")) > 20)
        wait_for_a_leader(mesh)
        three_nodes.kill(1)
        assert [final(result) for result in results] == [str(number) for number in range(400)]
    ran = Counter(lines(tmp_path / "ran"))
    assert set(ran) == {str(number) for number in range(400)}


def test_a_worker_in_the_test_itself_serves_all_nodes_and_queues_that_come(mesh, tmp_path):
    write = writer(mesh, tmp_path / "ran")
    with ThreadWorker(mesh):
        results = [write.apply_async((str(number),), queue=f"queue-{number % 2}") for number in range(20)]
        assert [final(result) for result in results] == [str(number) for number in range(20)]
        assert write.delay("idle").get(timeout=90) == "idle"


def test_children_that_are_killed_lose_nothing(mesh, tmp_path):
    write = writer(mesh, tmp_path / "ran")
    results = [write.delay(str(number)) for number in range(40)]

    @mesh.task(max_retries=0)
    def end_process(flag: str) -> str:
        import os
        from pathlib import Path

        if not Path(flag).exists():
            Path(flag).touch()
            os.kill(os.getpid(), 9)
        return "survived"

    ends = [end_process.delay(str(tmp_path / f"flag-{number}")) for number in range(4)]
    with mesh.workers(2):
        assert [final(result) for result in ends] == ["survived"] * 4
        assert [final(result) for result in results] == [str(number) for number in range(40)]


@pytest.mark.parametrize(("once", "first"), [(False, b"h"), (True, b"1")])
def test_what_may_begin_only_once_is_claimed_so_that_copies_know_first(mesh, tmp_path, once, first):
    """Handed over with a wake-up it could begin before any backup has it, and again after the loss of the primary."""
    write = writer(mesh, tmp_path / "ran")
    link = mesh.link.open()
    incarnation = b"ab" * 8
    holder = incarnation + b"000001"
    for node in link.nodes:
        at = link.at(node)
        at.run(register(at.session, incarnation, b"{}"))
        assert at.run(claim(at.session, holder, 1, 1, [b"default"], idle=False)) == []
    result = write.apply_async(("once",), at_most_once=once)
    at = link.at(link.view.primary(slot_of(routing_of(result.id), link.session.slots)))
    (wake_up,) = at.run(plain(at.session, b"LRANGE", keys.wake(link.prefix, holder), b"0", b"-1"))
    assert wake_up[:1] == first


def test_a_run_is_ended_whose_message_another_node_has_taken_over(mesh, three_nodes, tmp_path):
    write = writer(mesh, tmp_path / "ran")
    with mesh.workers(2):
        held = write.delay("held", 60.0)
        wait_until(lambda: lines(tmp_path / "ran") == ["held"])
        wait_for_a_leader(mesh)
        slot = slot_of(routing_of(held.id), mesh.link.session.slots)
        primary = mesh.link.view.primary(slot)
        address = next(member.address for member in mesh.link.view.members if member.id == primary)
        three_nodes.kill(three_nodes.urls.index(address))
        held.revoke(terminate=True)
        wait_until(held.ready)
        with pytest.raises(TaskRevoked):
            held.get(timeout=90)
        assert mesh.link.view.primary(slot) != primary
    assert lines(tmp_path / "ran") == ["held"]


def test_a_process_that_comes_to_lead_is_one_observer_of_the_nodes(mesh):
    """What it noted before it led would be another's word, by which no node is gone."""
    link, session = mesh.link, mesh.link.session
    with mesh.workers(1):
        wait_for_a_leader(mesh)
        led_ms = link.clock.now_ms()

        def notes() -> dict[bytes, bytes]:
            found = link.at("n1").run(plain(session, b"HGETALL", keys.observed(link.prefix)))
            return dict(zip(found[::2], found[1::2], strict=True))

        # whoever leads has noted by then what it sees
        wait_until(lambda: any(read_note(note)[0] > led_ms + 1000 for note in notes().values()))
        assert len(notes()) == 1
