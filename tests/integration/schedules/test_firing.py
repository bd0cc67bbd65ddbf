"""Schedules fire: once each, as they are defined at the moment, and whatever becomes of the leader."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace
from redis import Redis

from taskmesh import TaskMesh, crontab, every, once
from taskmesh.consensus.registers import Write
from taskmesh.coordination.cursor import (
    Cursor,
    Running,
    cursor_register,
    key_of,
    pack_cursor,
    unpack_cursor,
)
from taskmesh.coordination.firing import firing_id, read_firing_id, schedule_register, shard_of
from taskmesh.coordination.install import install
from taskmesh.coordination.leader import Tenure
from taskmesh.coordination.schedule import pack_schedule, unpack_schedule
from taskmesh.coordination.settle import settle
from taskmesh.core.steps import Call, Session, Steps
from taskmesh.errors import LeadershipLost, UsageError
from taskmesh.nodes.agreement import Agreement
from taskmesh.queue.enqueue import enqueue
from taskmesh.queue.workers import WORKER
from taskmesh.scheduler.fire import Firing
from tests.apps.recording_broker import Recorder
from tests.patience import LONG_S
from tests.support import wait_until


@pytest.fixture(autouse=True)
def patient_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a turn that is looked at once wait for the node: here it is never away."""
    monkeypatch.setattr("taskmesh.scheduler.fire.SEND_S", LONG_S)


@pytest.fixture
def node(mesh: TaskMesh) -> Redis:
    """The node, for looking."""
    return Redis.from_url(mesh.address().url)


def nominal(node: Redis, mesh: TaskMesh, name: str) -> list[int]:
    """Return the nominal moments of a schedule's messages."""
    start = f"tm:{mesh.name}:r:"
    keys = [key.decode().removeprefix(start) for key in node.scan_iter(f"{start}{name}@*", count=1000)]
    return sorted(found[1] for key in keys if (found := read_firing_id(key)))


def test_each_moment_becomes_one_message(mesh: TaskMesh, stand, mesh_worker, node: Redis) -> None:
    """Every 200 ms, none twice and none left out, and the task is run with its arguments."""
    task = mesh.task(name="sums.add")(lambda x, y: x + y)
    stand()
    assert mesh.schedule("sums", every(0.2), task.s(2, 3))
    moments = wait_until(lambda: len(found := nominal(node, mesh, "sums")) >= 6 and found)
    assert [later - earlier for earlier, later in pairwise(moments)] == [200] * (len(moments) - 1)
    assert mesh.result(firing_id("sums", moments[0])).get(90) == 5


def test_changes_count_at_once(mesh: TaskMesh, stand, node: Redis) -> None:
    """Paused, resumed, removed: the leader hears of it within its next look."""
    task = mesh.task(name="sums.add")(lambda x, y: x + y)
    stand()
    mesh.schedule("sums", every(0.1), task.s(2, 3))
    wait_until(lambda: nominal(node, mesh, "sums"))
    assert mesh.schedules.pause("sums")
    assert not mesh.schedules.pause("sums")

    def stands_still() -> bool:
        before = len(nominal(node, mesh, "sums"))
        tick = len(nominal(node, mesh, "clock"))
        wait_until(lambda: len(nominal(node, mesh, "clock")) > tick + 2)
        return len(nominal(node, mesh, "sums")) == before

    mesh.schedule("clock", every(0.1), task.s(0, 0))
    wait_until(stands_still)
    count = len(nominal(node, mesh, "sums"))
    assert mesh.schedules.resume("sums")
    wait_until(lambda: len(nominal(node, mesh, "sums")) > count)
    assert mesh.schedules.remove("sums")
    wait_until(stands_still)
    assert [view.name for view in mesh.schedules.list()] == ["clock"]
    with pytest.raises(UsageError, match="no schedule 'sums'"):
        mesh.schedules.pause("sums")


def test_a_schedule_in_the_code_is_defined_when_a_candidate_starts(mesh: TaskMesh, stand) -> None:
    """And what was changed since stands, until the code says something else."""

    @mesh.cron("*/5 * * * *", tz="Europe/Paris", name="tidy", misfire="skip")
    def tidy(days: int = 1) -> None: ...

    mesh.every(30, name="poll", args=(7,))(tidy)
    stand("ann")
    found = wait_until(
        lambda: len(views := mesh.schedules.list()) == 2 and {view.name: view for view in views}
    )
    assert (found["tidy"].when, found["tidy"].zone) == ("*/5 * * * *", "Europe/Paris")
    assert found["tidy"].declared
    assert (found["poll"].when, found["poll"].misfire) == ("every 30s", "latest")
    mesh.schedule("tidy", crontab("0 3 * * *"), tidy.s())
    mesh.schedules.pause("poll")
    mesh.schedules.remove("poll")
    stand("bob")
    wait_until(lambda: len(mesh.schedules.list()) == 2)
    assert mesh.schedules.get("tidy").when == "0 3 * * *"
    mesh.cron("*/10 * * * *", name="tidy")(tidy)
    stand("cid")
    wait_until(lambda: mesh.schedules.get("tidy").when == "*/10 * * * *")


def test_run_now_sends_one_beside_the_firings(mesh: TaskMesh, mesh_worker) -> None:
    """With the schedule's own call and options."""
    task = mesh.task(name="sums.add")(lambda x, y: x + y)
    mesh.schedule("sums", crontab("0 0 1 1 *"), task.s(2, 3))
    handle = mesh.schedules.run_now("sums")
    assert handle.get(90) == 5


def test_a_function_by_value_fires(mesh: TaskMesh, stand, mesh_worker, node: Redis) -> None:
    """Its code travels in the definition: the leader neither has nor unpickles it."""
    offset = 40
    task = mesh.task(name="odd")(lambda x: x + offset)
    assert task.by_value
    stand()
    # it is to be known before its moment, also on a machine that stands still for some seconds
    mesh.schedule("odd", once(datetime.now(UTC).timestamp() + 5), task.s(2))
    view = mesh.schedules.get("odd")
    (moment,) = view.coming()
    (moment_ms,) = wait_until(lambda: nominal(node, mesh, "odd"))
    assert moment_ms == round(moment.timestamp() * 1000)
    assert mesh.result(firing_id("odd", moment_ms)).get(90) == 42


def test_what_was_missed_runs_as_its_policy_says(mesh: TaskMesh, node: Redis) -> None:
    """A leader that comes after an hour without one: `skip` runs nothing, `latest` one, `all` each in its window."""
    task = mesh.task(name="sums.add")(lambda x, y: x + y)
    agreement = Agreement(mesh.link)
    for misfire in ("skip", "latest", "all"):
        mesh.schedule(misfire, every("10m"), task.s(1, 1), misfire=misfire, catch_up="25m")
        _age(mesh, agreement, misfire, 3_600_000)
    firing = Firing(mesh.link, agreement, _tenure(), lambda: True, "test")
    firing.begin()
    firing.turn()
    now_ms = mesh.link.clock.now_ms()
    assert len(nominal(node, mesh, "latest")) == 1
    assert 2 <= len(nominal(node, mesh, "all")) <= 3
    assert all(now_ms - moment <= 25 * 60_000 + 60_000 for moment in nominal(node, mesh, "all"))
    assert not [moment for moment in nominal(node, mesh, "skip") if now_ms - moment > 15_000]


def test_a_broker_is_told_of_what_schedules_send(mesh: TaskMesh) -> None:
    task = mesh.task(name="sums.add", queue="sums")(lambda x, y: x + y)
    mesh.schedule("one", every("10m"), task.s(1, 1), misfire="latest")
    agreement, broker = Agreement(mesh.link), Recorder("", mesh.name)
    _age(mesh, agreement, "one", 3_600_000)
    firing = Firing(mesh.link, agreement, _tenure(), lambda: True, "test", broker)
    firing.begin()
    firing.turn()
    assert broker.told == [("sums", 1)]


def test_what_was_missed_does_not_keep_others_waiting(mesh: TaskMesh, node: Redis, monkeypatch) -> None:
    """A thousand missed firings go in parts; what becomes due meanwhile goes before the rest, and none is left out."""
    monkeypatch.setattr("taskmesh.scheduler.fire.SLICE", 100)
    monkeypatch.setattr("taskmesh.scheduler.fire.TURN_MAX", 200)
    task = mesh.task(name="sums.add")(lambda x, y: x + y)
    agreement = Agreement(mesh.link)
    mesh.schedule("flood", every(1), task.s(1, 1), misfire="all", catch_up="20m")
    _age(mesh, agreement, "flood", 1_000_000)
    firing = Firing(mesh.link, agreement, _tenure(), lambda: True, "test")
    firing.begin()
    firing.turn()
    assert len(nominal(node, mesh, "flood")) == 200
    mesh.schedule("other", every("10m"), task.s(1, 1), misfire="latest", catch_up="25m")
    _age(mesh, agreement, "other", 3_600_000)
    firing.turn()
    assert len(nominal(node, mesh, "other")) == 1
    assert len(nominal(node, mesh, "flood")) == 399
    wait_until(lambda: firing.turn() >= 0 and not firing._pending)
    moments = nominal(node, mesh, "flood")
    assert len(moments) >= 1000
    assert all(later - earlier == 1000 for earlier, later in pairwise(moments))


def test_overlaps_are_skipped_or_buffered(mesh: TaskMesh, node: Redis) -> None:
    """While the first message has not ended: `skip` enqueues none, `buffer-one` one when it has."""
    task = mesh.task(name="sums.add")(lambda x, y: x + y)
    agreement = Agreement(mesh.link)
    for overlap in ("allow", "skip", "buffer-one"):
        mesh.schedule(overlap, every(0.1), task.s(1, 1), overlap=overlap)
    firing = Firing(mesh.link, agreement, _tenure(), lambda: True, "test")
    firing.begin()

    def turns_until(done) -> None:
        def turn() -> bool:
            firing.turn()
            return done()

        wait_until(turn)

    turns_until(lambda: len(nominal(node, mesh, "allow")) >= 10)
    assert len(nominal(node, mesh, "skip")) == 1
    (first,) = nominal(node, mesh, "buffer-one")
    for name in ("skip", "buffer-one"):
        assert mesh.result(firing_id(name, nominal(node, mesh, name)[0])).revoke()
    turns_until(lambda: all(len(nominal(node, mesh, name)) == 2 for name in ("skip", "buffer-one")))
    buffered = nominal(node, mesh, "buffer-one")[1]
    assert buffered - first == 100, "the firing that waited was another than the first one that had to"


def test_what_a_leader_was_about_to_send_is_sent_by_the_next(mesh: TaskMesh, node: Redis) -> None:
    """It was written down, since it runs alone; whether it is recorded, only the node knows."""
    task = mesh.task(name="sums.add")(lambda x, y: x + y)
    agreement = Agreement(mesh.link)
    mesh.schedule("alone", every("10s"), task.s(1, 1), overlap="skip")
    _age(mesh, agreement, "alone", 3_600_000)
    begun_ms = mesh.link.clock.now_ms() // 10_000 * 10_000 - 600_000
    register = cursor_register(shard_of("alone"))
    cursor = Cursor(running={key_of("alone"): Running(begun_ms, is_recorded=False)})
    agreement.run(
        agreement.registers.change(register, lambda _: Write(pack_cursor(cursor)), agreement.operation())
    )
    firing = Firing(mesh.link, agreement, _tenure(), lambda: True, "test")
    firing.begin()
    wait_until(lambda: firing.turn() >= 0 and nominal(node, mesh, "alone"))
    assert nominal(node, mesh, "alone") == [begun_ms], "another began beside it, or in its place"
    firing.flush()
    (entry,) = unpack_cursor(agreement.run(agreement.registers.read(register)).content).running.values()
    assert entry == Running(begun_ms)


def test_a_firing_that_is_due_and_pending_stands_in_line_once(mesh: TaskMesh, node: Redis) -> None:
    """A schedule that is given other times may be due once more at a moment that could not be sent before."""
    task = mesh.task(name="sums.add")(lambda x, y: x + y)
    mesh.schedule("sums", every("1h"), task.s(1, 1))
    firing = Firing(mesh.link, Agreement(mesh.link), _tenure(), lambda: True, "test")
    firing.begin()
    now_ms = mesh.link.clock.now_ms()
    firing._pending = [("sums", now_ms)]
    firing._send([("sums", now_ms)], now_ms, retry=True)
    assert nominal(node, mesh, "sums") == [now_ms]
    assert node.llen(f"tm:{mesh.name}:q:default:4") == 1


def test_what_ran_last_is_forgotten_with_its_schedule(mesh: TaskMesh) -> None:
    """While a leader looks, and by the next one if there was none: cursors must not grow with each name ever used."""
    task = mesh.task(name="sums.add")(lambda x, y: x + y)
    for name in ("one", "two", "paused"):
        mesh.schedule(name, every(0.1), task.s(1, 1), overlap="skip")
    first = Firing(mesh.link, Agreement(mesh.link), _tenure(5), lambda: True, "first")
    first.begin()

    def kept(firing: Firing) -> int:
        firing.turn()
        return sum(len(cursor.running) for cursor in firing.definitions.cursors.values())

    wait_until(lambda: kept(first) == 3)
    mesh.schedules.pause("paused")
    mesh.schedules.remove("one")
    wait_until(lambda: kept(first) == 2)
    first.flush()
    mesh.schedules.remove("two")
    following = Firing(mesh.link, Agreement(mesh.link), _tenure(6), lambda: True, "following")
    following.begin()
    assert kept(following) == 1


def test_an_old_leader_is_refused(mesh: TaskMesh, node: Redis) -> None:
    """Once a newer token stands on the node, nothing of an older leader is recorded, nor moves a cursor."""
    task = mesh.task(name="sums.add")(lambda x, y: x + y)
    agreement = Agreement(mesh.link)
    mesh.schedule("sums", every(0.1), task.s(1, 1))
    old = Firing(mesh.link, agreement, _tenure(5), lambda: True, "old")
    old.begin()
    new = Firing(mesh.link, Agreement(mesh.link), _tenure(6), lambda: True, "new")
    new.begin()
    count = len(nominal(node, mesh, "sums"))

    def fires() -> bool:
        old.turn()
        return False

    with pytest.raises(LeadershipLost, match="token 5"):
        wait_until(fires)
    assert len(nominal(node, mesh, "sums")) == count
    with pytest.raises(LeadershipLost):
        mesh.link.run(install(mesh.link.session, 5))
    wait_until(lambda: new.turn() >= 0 and nominal(node, mesh, "sums"))
    new.flush()
    register = cursor_register(shard_of("sums"))
    cursor = unpack_cursor(agreement.run(agreement.registers.read(register)).content)
    assert cursor.token == 6
    old._unwritten.add(shard_of("sums"))
    with pytest.raises(LeadershipLost):
        old.flush()


def test_a_message_of_an_old_leader_is_rejected_by_name(mesh: TaskMesh) -> None:
    """`STALETOKEN` is the reason, and the messages are certainly not recorded."""
    task = mesh.task(name="sums.add")(lambda x, y: x + y)
    link = mesh.link.open()
    link.run(install(link.session, 9))
    message = mesh.portal.sender.build("sums.add", (1, 1), {}, task.send_options({}))
    sent = link.run(enqueue(link.session, [message], token=8))
    assert list(sent.rejected.values()) == ["STALETOKEN 9"]
    assert link.run(enqueue(link.session, [message], token=9)).accepted


def test_a_leader_that_was_lost_before_its_cursor_fires_nothing_twice(mesh: TaskMesh, node: Redis) -> None:
    """The next one enqueues the same ids again: they are known."""
    task = mesh.task(name="sums.add")(lambda x, y: x + y)
    mesh.schedule("sums", every(0.1), task.s(1, 1), misfire="all")
    lost = Firing(mesh.link, Agreement(mesh.link), _tenure(5), lambda: True, "lost")
    lost._write_at_s = float("inf")
    lost.begin()
    wait_until(lambda: lost.turn() >= 0 and lost.fired >= 5)
    first = Firing(mesh.link, Agreement(mesh.link), _tenure(6), lambda: True, "next")
    first.begin()
    before = nominal(node, mesh, "sums")
    first.turn()
    after = nominal(node, mesh, "sums")
    assert after[: len(before)] == before
    assert first.fired == len(after) - len(before)
    assert all(later - earlier == 100 for earlier, later in pairwise(after))


def test_a_firing_that_was_tried_again_is_in_the_cursor(mesh: TaskMesh) -> None:
    """Else the next leader would send it once more, hours later, when its id is forgotten."""
    task = mesh.task(name="sums.add")(lambda x, y: x + y)
    mesh.schedule("sums", once(datetime.now(UTC) + timedelta(seconds=1)), task.s(1, 1))
    acts: list[bool] = []
    agreement = Agreement(mesh.link)
    _age(mesh, agreement, "sums", 60_000)
    firing = Firing(mesh.link, agreement, _tenure(), lambda: bool(acts), "test")
    firing.begin()
    wait_until(lambda: firing.turn() >= 0 and firing._pending)
    (_, moment_ms) = firing._pending[0]
    acts.append(True)
    wait_until(lambda: firing.turn() >= 0 and firing.fired == 1)
    wait_until(lambda: firing.turn() >= 0 and not firing._unwritten)
    register = cursor_register(shard_of("sums"))
    assert unpack_cursor(agreement.run(agreement.registers.read(register)).content).seen_ms >= moment_ms


def test_a_firing_is_not_forgotten_before_its_cursor_is_written(mesh: TaskMesh, node: Redis) -> None:
    """Its message ends, and nobody leads for longer than an id is remembered: the next leader fires it no more."""
    task = mesh.task(name="sums.add")(lambda x, y: x + y)
    mesh.schedule("sums", every(0.1), task.s(1, 1), misfire="all")
    lost = Firing(mesh.link, Agreement(mesh.link), _tenure(5), lambda: True, "lost")
    lost._write_at_s = float("inf")
    lost.begin()
    wait_until(lambda: lost.turn() >= 0 and lost.fired >= 3)
    sent = nominal(node, mesh, "sums")
    session = mesh.link.session

    def sweep(ahead_s: int) -> None:
        mesh.link.run(_swept(session, session.now_ms() + ahead_s * 1000))

    for moment in sent:
        assert mesh.result(firing_id("sums", moment)).revoke()
    sweep(4000)  # outcomes
    sweep(8000)  # ids
    assert nominal(node, mesh, "sums") == sent
    following = Firing(mesh.link, Agreement(mesh.link), _tenure(6), lambda: True, "following")
    following.begin()
    wait_until(lambda: following.turn() >= 0 and following.fired >= 1)
    assert following.fired == len(nominal(node, mesh, "sums")) - len(sent)
    following.flush()
    # settled: then they are forgotten, like all others
    mesh.link.run(settle(session, 6, sent[-1] + 1000))
    sweep(12000)
    assert not set(nominal(node, mesh, "sums")) & set(sent)


def test_two_candidates_have_one_leader_and_hand_over(mesh: TaskMesh, stand) -> None:
    """The second leads as soon as the first has resigned, with a greater token."""
    ann = stand("ann")
    first = wait_until(lambda: ann.tenure)
    bob = stand("bob")
    assert bob.tenure is None
    ann.stop()
    second = wait_until(lambda: bob.tenure)
    assert second.token > first.token


def _swept(session: Session, now_ms: int) -> Steps[None]:
    """Have the node remove what is due for removal at a moment, as a worker's heartbeat does."""
    for what in ((b"register", b"w", b"{}"), *[(b"beat", b"w", b"0", b"")] * 50):
        yield [Call(WORKER, session.prefix, (session.epoch, b"%d" % now_ms, *what))]


def _tenure(token: int = 1) -> Tenure:
    return Tenure(token)


def _age(mesh: TaskMesh, agreement: Agreement, name: str, by_ms: int) -> None:
    """Have a schedule be as old as that."""

    def age(found: Any) -> Any:
        schedule = unpack_schedule(found.content)
        return Write(pack_schedule(replace(schedule, since_ms=schedule.since_ms - by_ms)))

    agreement.run(agreement.registers.change(schedule_register(name), age, agreement.operation()))
