"""What holds with every broker: sent to real workers, which are killed, stopped and cut off from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from taskmesh.core.state import State
from taskmesh.errors import TaskDead, TaskExpired, TaskRevoked
from taskmesh.testing.conformance.stage import LEASE_S, Stage, eventually
from taskmesh.testing.conformance.tasks import (
    die_at_first,
    fail,
    fail_at_first,
    hold,
    moment,
    refuse,
    trace,
)

#: Served by two workers, of two children each.
BOTH = "both"
#: Served by one child.
LINE = "line"
#: Served by one child of a worker that is stopped and started.
LEFT = "left"
#: How long a delay is that is kept, and how well a caller knows the clock of a node that took its time to answer.
DELAY_S, CLOCK_S = 4.0, 3.0
#: Sends that take so long waited for the broker.
HANGS_S = 60.0


class BrokerConformance:
    """Derive from it, name the class `Test...`, and override `broker`; `interruption`, too, if yours can be cut off."""

    @pytest.fixture(scope="class")
    @classmethod
    def broker(cls) -> str:
        """Return the address of the broker, as the setting `broker` takes it."""
        return "mesh"

    @pytest.fixture(scope="class")
    @classmethod
    def interruption(cls) -> Callable[[], AbstractContextManager[object]] | None:
        """Return what makes a block for whose length the broker is away; None if nothing can."""
        return None

    @pytest.fixture(scope="class")
    @classmethod
    def shared_stage(cls, broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
        """Return the mesh and the workers of all tests of the class."""
        with Stage(broker, tmp_path_factory.mktemp("conformance")) as stage:
            yield stage

    @pytest.fixture
    def stage(self, shared_stage: Stage) -> Stage:
        """Return them with the workers that all tests want, and a folder for this test."""
        shared_stage.want("one", BOTH, concurrency=2)
        shared_stage.want("two", BOTH, concurrency=2)
        shared_stage.want("single", LINE)
        return shared_stage.begin()

    # -- messages -----------------------------------------------------------------

    def test_each_message_is_run_once(self, stage: Stage) -> None:
        """With nobody harmed there is one run for each."""
        words = [stage.word() for _ in range(50)]
        handles = [stage.send(trace, stage.at, word, queue=BOTH) for word in words]
        assert [stage.value(handle) for handle in handles] == words
        assert sorted(stage.notes()) == sorted(words)

    def test_batches_over_queues(self, stage: Stage) -> None:
        """What is sent together is run wherever it belongs."""
        words = [stage.word() for _ in range(60)]
        with stage.mesh.batch():
            handles = [
                stage.send(trace, stage.at, word, queue=(BOTH, LINE)[at % 2]) for at, word in enumerate(words)
            ]
        assert [stage.value(handle) for handle in handles] == words
        assert sorted(stage.notes()) == sorted(words)

    def test_many_at_once(self, stage: Stage) -> None:
        """A thousand messages of one call need no thousand tickets."""
        sent = stage.task(trace).starmap([(stage.at, "many")] * 1000)
        with stage.mesh.batch():
            last = stage.send(trace, stage.at, "last", queue=BOTH)
        assert stage.value(last) == "last"
        assert len(sent) == 1000
        sent.revoke()

    def test_an_error_comes_back(self, stage: Stage) -> None:
        handle = stage.send(fail, "as it should", queue=BOTH)
        with pytest.raises(ValueError, match="as it should"):
            stage.value(handle)

    # -- order --------------------------------------------------------------------

    def test_higher_priorities_come_sooner(self, stage: Stage) -> None:
        """0 to 9, with 9 first, whatever the order of sending."""
        with stage.held(LINE):
            for priority in (3, 9, 0, 5, 1, 8, 2, 7, 4, 6):
                stage.send(trace, stage.at, f"p{priority}", queue=LINE, priority=priority)
        stage.noted("p0")
        assert [word for word in stage.notes() if word.startswith("p")] == [
            f"p{at}" for at in range(9, -1, -1)
        ]

    def test_equal_priorities_keep_their_order(self, stage: Stage) -> None:
        """First sent, first run, where one child serves the queue."""
        with stage.held(LINE):
            for at in range(25):
                stage.send(trace, stage.at, f"n{at}", queue=LINE, priority=at % 2 * 5)
        stage.noted("n24")
        ran = [int(word[1:]) for word in stage.notes() if word.startswith("n")]
        assert ran == [*range(1, 25, 2), *range(0, 25, 2)]

    # -- time ---------------------------------------------------------------------

    def test_a_delay_is_kept(self, stage: Stage) -> None:
        """It runs after its time, and without anybody sending anything then."""
        due = time.time() + DELAY_S
        handle = stage.send(moment, queue=BOTH, countdown=DELAY_S)
        assert stage.value(handle) >= due - CLOCK_S

    def test_what_has_expired_is_not_run(self, stage: Stage) -> None:
        with stage.held(LINE):
            handle = stage.send(trace, stage.at, "too late", queue=LINE, expires=0.2)
            kept = stage.send(trace, stage.at, "in time", queue=LINE, expires=600)
            until = time.time() + 0.3
            eventually(lambda: time.time() > until, "it has expired")
        assert stage.value(kept) == "in time"
        with pytest.raises(TaskExpired):
            stage.value(handle)
        assert "too late" not in stage.notes()

    def test_retries_are_run_when_they_are_due(self, stage: Stage) -> None:
        word = stage.word()
        handle = stage.send(fail_at_first, stage.at, word, 2, queue=BOTH)
        assert stage.value(handle) == 3
        assert stage.notes(word) == [f"{word} {attempt}" for attempt in (1, 2, 3)]
        assert (handle.retries, handle.crashes) == (2, 0)

    # -- what is not run ----------------------------------------------------------

    def test_what_is_revoked_is_not_run(self, stage: Stage) -> None:
        with stage.held(LINE):
            handle = stage.send(trace, stage.at, "revoked", queue=LINE)
            after = stage.send(trace, stage.at, "after", queue=LINE)
            assert handle.revoke()
        assert stage.value(after) == "after"
        with pytest.raises(TaskRevoked):
            stage.value(handle)
        assert stage.notes("revoked") == []

    def test_a_unique_key_lets_one_live(self, stage: Stage) -> None:
        key = stage.word()
        with stage.held(LINE):
            first = stage.send(trace, stage.at, "first", queue=LINE, unique=key)
            second = stage.send(trace, stage.at, "second", queue=LINE, unique=key)
            assert (first.duplicate, second.duplicate) == (False, True)
            assert second.id == first.id
        assert stage.value(second) == "first"
        third = stage.send(trace, stage.at, "third", queue=LINE, unique=key)
        assert stage.value(third) == "third"
        assert stage.notes("second") == []

    def test_what_is_refused_is_a_dead_letter(self, stage: Stage) -> None:
        handle = stage.send(refuse, "not for us", queue=BOTH)
        with pytest.raises(TaskDead, match="not for us"):
            stage.value(handle)
        assert stage.mesh.result(handle.id).state == State.DEAD

    # -- harm ---------------------------------------------------------------------

    def test_crashes_are_counted(self, stage: Stage) -> None:
        """A process that dies charges its message with a crash, and no attempt; it is run again."""
        word = stage.word()
        handle = stage.send(die_at_first, stage.at, word, 1, queue=BOTH)
        assert stage.value(handle) == 1
        assert (handle.crashes, handle.retries) == (1, 0)

    def test_the_third_crash_makes_a_dead_letter(self, stage: Stage) -> None:
        word = stage.word()
        handle = stage.send(die_at_first, stage.at, word, 99, queue=BOTH)
        with pytest.raises(TaskDead):
            stage.value(handle)
        assert stage.notes(word) == [f"{word} {crashes}" for crashes in range(3)]

    def test_what_a_dead_worker_held_is_run_by_another(self, stage: Stage) -> None:
        """At least once: nothing is lost with the worker that ran it."""
        words = [stage.word() for _ in range(2)]
        handles = [stage.send(hold, stage.at, word, queue=BOTH) for word in words]
        runners = [stage.noted(word)[0].split()[1] for word in words]
        victim = runners[0]
        stage.kill(victim)
        for word, runner in zip(words, runners, strict=True):
            stage.noted(word, 2 if runner == victim else 1)
        for word in words:
            stage.let(word)
        assert victim not in [stage.value(handle) for handle in handles]
        assert [len(stage.notes(word)) for word in words] == [2 if each == victim else 1 for each in runners]

    def test_a_lease_lasts_while_its_worker_lives(self, stage: Stage) -> None:
        """A message may run longer than any lease: nobody else begins it."""
        word = stage.word()
        handle = stage.send(hold, stage.at, word, queue=BOTH)
        stage.noted(word)
        until_s = time.monotonic() + 1.5 * LEASE_S
        eventually(lambda: time.monotonic() > until_s, "the time of a lease has gone by")
        stage.let(word)
        stage.value(handle)
        assert len(stage.notes(word)) == 1

    def test_a_worker_that_stops_finishes_and_leaves_the_rest(self, stage: Stage) -> None:
        """What it runs comes to its end there, and what waits is found by the next worker without being told."""
        stage.want("leaving", LEFT)
        word = stage.word()
        handle = stage.send(hold, stage.at, word, queue=LEFT)
        stage.noted(word)
        waiting = [stage.send(trace, stage.at, f"w{at}", queue=LEFT) for at in range(5)]
        stage.stop("leaving")
        stage.let(word)
        assert stage.value(handle) == "leaving"
        assert stage.stopped("leaving") == 0
        stage.want("coming", LEFT)
        assert [stage.value(each) for each in waiting] == [f"w{at}" for at in range(5)]
        assert len(stage.notes()) == 6

    def test_a_broker_that_was_away(
        self, stage: Stage, interruption: Callable[[], AbstractContextManager[object]] | None
    ) -> None:
        """Nobody hangs, nothing is lost or run twice, and all goes on by itself."""
        if interruption is None:
            pytest.skip("this broker cannot be interrupted by its tests")
        word = stage.word()
        held = stage.send(hold, stage.at, word, queue=BOTH)
        stage.noted(word)
        began_s = time.monotonic()
        with interruption():
            sent = [stage.send(trace, stage.at, f"away{at}", queue=BOTH) for at in range(20)]
            assert time.monotonic() - began_s < HANGS_S, "sending waited for the broker"
            stage.let(word)
        stage.value(held)
        after = [stage.send(trace, stage.at, f"back{at}", queue=BOTH) for at in range(20)]
        assert [stage.value(each) for each in sent] == [f"away{at}" for at in range(20)]
        assert [stage.value(each) for each in after] == [f"back{at}" for at in range(20)]
        assert len(stage.notes()) == 41
