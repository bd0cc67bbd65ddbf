"""Following what happens: told while somebody listens, and by nobody else."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from taskmesh.client.events import Events
from taskmesh.core import keys
from taskmesh.core.event import LEADER, Event
from taskmesh.errors import UsageError
from taskmesh.nodes.event_sender import EventSender
from taskmesh.queue.setting import LISTENED_FIELD
from taskmesh.replication.ask import plain
from tests.support import wait_until

TIMEOUT_S = 90.0


class Heard:
    """Reads events in a thread, until it is closed."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self.all: list = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        self.all.extend(self.events)  # a list takes in each as it comes

    def of(self, task_id: str) -> list[str]:
        return [event.kind for event in list(self.all) if event.id == task_id]

    def close(self) -> None:
        self.events.close()
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()


@pytest.fixture
def heard(holds, mesh) -> Iterator[Heard]:
    """A listener that both children know of."""
    listening = Heard(mesh.events())
    # what both ran at once; either may know of it a second before the other does
    rounds: list[list[str]] = []

    def tried() -> bool:
        held = holds.all_children()
        for name, handle in held:
            holds.let_go(name)
            handle.get(timeout=TIMEOUT_S)
        rounds.append([handle.id for _, handle in held])
        return any(all("started" in listening.of(each) for each in both) for both in rounds)

    wait_until(tried, what="children hear that somebody listens", every_s=0.1)
    yield listening
    listening.close()


def test_a_run_is_told_from_its_sending_to_its_end(app, heard):
    result = app.add.delay(1, 2)
    assert result.get(timeout=TIMEOUT_S) == 3
    wait_until(lambda: len(heard.of(result.id)) == 3)
    assert set(heard.of(result.id)) == {"sent", "started", "succeeded"}
    ended = next(event for event in heard.all if event.id == result.id and event.kind == "succeeded")
    assert (ended.task, ended.queue, ended.attempt) == (app.add.name, "default", 1)
    assert ended.worker
    assert ended.seconds is not None
    sent = next(event for event in heard.all if event.id == result.id and event.kind == "sent")
    assert (sent.task, sent.queue) == (app.add.name, "default")


def test_a_failure_tells_the_kind_of_error_and_nothing_of_what_it_says(app, heard):
    result = app.refuse.delay("the secret", code=7)
    wait_until(lambda: "failed" in heard.of(result.id))
    (failed,) = [event for event in heard.all if event.id == result.id and event.kind == "failed"]
    assert failed.detail == "Refused"
    assert "secret" not in repr(heard.all)


def test_what_is_tried_again_and_what_expires_is_told(app, other, heard):
    @other.task(name="again", max_retries=1, default_retry_delay=0.01, autoretry_for=(ValueError,))
    def again() -> None:
        raise ValueError("private words")

    expired = app.add.apply_async((1,), queue="unserved", expires=0.01)
    result = again.delay()
    # two children tell of it, and nobody says who of them is first
    wait_until(lambda: len(heard.of(result.id)) == 5)
    assert sorted(heard.of(result.id)) == ["failed", "retried", "sent", "started", "started"]
    retried = next(event for event in heard.all if event.id == result.id and event.kind == "retried")
    assert (retried.attempt, retried.detail) == (1, "ValueError")
    failed = next(event for event in heard.all if event.id == result.id and event.kind == "failed")
    assert failed.attempt == 2
    wait_until(lambda: "expired" in heard.of(expired.id))


def test_what_is_revoked_while_it_waits_is_told(app, heard):
    result = app.add.apply_async((1, 1), countdown=600)
    assert result.revoke()
    wait_until(lambda: "revoked" in heard.of(result.id))
    (revoked,) = [event for event in heard.all if event.id == result.id and event.kind == "revoked"]
    assert revoked.task == app.add.name


def test_what_is_revoked_while_it_runs_is_told_once_it_would_go_on(other, heard, tmp_path):
    @other.task(name="go_on", max_retries=1, autoretry_for=(ValueError,))
    def go_on(began: str, let: str) -> None:
        import time
        from pathlib import Path

        Path(began).touch()
        while not Path(let).exists():
            time.sleep(0.01)
        raise ValueError

    began, let = tmp_path / "began", tmp_path / "let"
    result = go_on.delay(str(began), str(let))
    wait_until(began.exists)
    assert not result.revoke()
    let.touch()
    wait_until(lambda: "revoked" in heard.of(result.id))


def test_a_crash_the_dead_letter_and_workers_are_told(app, mesh, make_mesh):
    """Of these everybody tells, so that nobody need have heard of the listener before."""
    once = make_mesh(max_crashes=1)

    @once.task(name="die")
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    heard = Heard(mesh.events(["crashed", "dead", "worker-up", "worker-down"]))
    try:
        with once.workers(1, queues=("deadly",)):
            result = die.apply_async(queue="deadly")
            wait_until(lambda: {"crashed", "dead"} <= {*heard.of(result.id)})
            crashed = next(event for event in heard.all if event.kind == "crashed")
            assert (crashed.task, crashed.queue, crashed.detail) == ("die", "deadly", "signal 9 (SIGKILL)")
        wait_until(lambda: [event.kind for event in heard.all][-1] == "worker-down")
    finally:
        heard.close()
    kinds = [event.kind for event in heard.all]
    assert kinds.count("worker-up") == kinds.count("worker-down") == 1


def test_only_what_is_asked_for_is_told(app, mesh):
    with mesh.events(["sent"], task="*.add", queue="unserved") as events:
        app.add.delay(1).get(timeout=TIMEOUT_S)
        app.add_async.apply_async((1, 1), queue="unserved").revoke()
        wanted = app.add.apply_async((1,), queue="unserved")
        event = events.read(TIMEOUT_S)
        assert event is not None
        assert (event.kind, event.id) == ("sent", wanted.id)
        wanted.revoke()


def test_a_kind_that_does_not_exist_is_refused(mesh):
    with pytest.raises(UsageError, match="no kind of event is called 'sned'"):
        mesh.events(["sned"])


def test_a_lost_connection_is_told_as_a_gap_and_made_anew(app, mesh):
    link = mesh.link
    with mesh.events() as events:
        assert link.run(plain(link.session, b"CLIENT", b"KILL", b"TYPE", b"pubsub")) > 0
        wait_until(lambda: (event := events.read(1.0)) is not None and event.kind == "gap")
        # nothing says when it listens again, but that it hears
        ids: set[str] = set()

        def hears() -> bool:
            sent = app.add.apply_async((1,), queue="unserved")
            ids.add(sent.id)
            sent.revoke()
            event = events.read(1.0)
            return event is not None and event.id in ids

        wait_until(hears)


def test_async_for_goes_on_until_it_is_closed(app, mesh):
    async def follow() -> list[str]:
        ids = []
        async with mesh.events(["sent"], queue="unserved") as events:
            sent = [app.add.apply_async((n,), queue="unserved") for n in range(3)]
            async for event in events:
                ids.append(event.id)
                if len(ids) == 3:
                    await asyncio.to_thread(events.close)
        for each in sent:
            each.revoke()
        assert ids == [each.id for each in sent]
        return ids

    assert len(asyncio.run(asyncio.wait_for(follow(), TIMEOUT_S))) == 3


def test_a_wait_that_is_cancelled_takes_no_event_with_it(app, mesh):
    async def follow() -> None:
        async with mesh.events(["sent"], queue="unserved") as events:
            for n in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(events), 0.01)
                sent = app.add.apply_async((n,), queue="unserved")
                event = await asyncio.wait_for(anext(events), TIMEOUT_S)
                assert event.id == sent.id
                sent.revoke()

    asyncio.run(follow())


def test_who_listens_in_a_loop_needs_none_of_its_threads(app, mesh):
    async def follow() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        busy = threading.Event()
        with mesh.events(["sent"], queue="unserved") as events:
            loop.run_in_executor(None, busy.wait)
            try:
                sent = app.add.apply_async((1,), queue="unserved")
                assert (await asyncio.wait_for(anext(events), TIMEOUT_S)).id == sent.id
            finally:
                busy.set()
        sent.revoke()

    asyncio.run(follow())


def test_what_has_come_already_is_read_without_waiting(app, mesh):
    with mesh.events(["sent"], queue="unserved") as events:
        sent = app.add.apply_async((1,), queue="unserved")
        assert wait_until(lambda: events.read(0)).id == sent.id
        sent.revoke()


def test_one_that_nobody_holds_ends(mesh):
    link = mesh.link

    def listening() -> int:
        gc.collect()
        return len(link.run(plain(link.session, b"CLIENT", b"LIST", b"TYPE", b"pubsub")).splitlines())

    events = mesh.events()
    forgotten = weakref.ref(events)
    before = listening()
    del events
    # the thread that says that somebody listens holds it for a moment now and then
    wait_until(lambda: listening() < before and forgotten() is None)


def test_while_nobody_listens_nothing_is_published(app, mesh):
    link = mesh.link

    def published() -> int:
        lines = link.run(plain(link.session, b"INFO", b"commandstats")).decode().splitlines()
        found = [line for line in lines if line.startswith("cmdstat_publish:")]
        return int(found[0].partition("calls=")[2].partition(",")[0]) if found else 0

    def send() -> int:
        before = published()
        sent = [app.add.apply_async((n,), queue="unserved", ignore_result=True) for n in range(20)]
        after = published()
        for each in sent:
            each.revoke()
        return after - before

    def send_unheard() -> int:
        # what an earlier listener left stands for ten seconds; and it may be on its way still, as may be what was told
        link.run(plain(link.session, b"DEL", keys.listened(link.prefix)))
        return send()

    wait_until(lambda: send_unheard() == 0, what="nothing is published")
    with mesh.events():
        wait_until(lambda: send() >= 20, what="all is published")


def test_the_flag_expires_by_itself(mesh):
    link = mesh.link
    with mesh.events():
        left_ms = wait_until(
            lambda: max(0, link.run(plain(link.session, b"PTTL", keys.listened(link.prefix))))
        )
        assert left_ms <= 10_000
        until_ms = int(
            link.run(plain(link.session, b"HGET", keys.settings(link.prefix), LISTENED_FIELD.encode()))
        )
        assert until_ms <= link.clock.now_ms() + 10_000


def test_who_ends_tells_what_waits_and_nothing_after_that(app, heard):
    link = app.mesh.portal.link
    ending, going_on = EventSender(link), EventSender(link)
    ending.tell(Event(LEADER, 1, "the last word"))
    ending.finish(TIMEOUT_S)
    ending.tell(Event(LEADER, 2, "too late"))
    going_on.tell(Event(LEADER, 3, "another's"))
    wait_until(lambda: heard.of("another's"))
    going_on.finish(TIMEOUT_S)
    assert (heard.of("the last word"), heard.of("too late")) == (["leader"], [])
