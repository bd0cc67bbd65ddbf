"""Limits of time, on real processes: the soft one is raised in the task, the hard one ends its process."""

from __future__ import annotations

import signal
from datetime import timedelta
from typing import Any

import pytest

from taskmesh import AsyncResult
from taskmesh.errors import SoftTimeLimitExceeded, TimeLimitExceeded
from tests.apps import limited_tasks as limited
from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene, is_gone
from tests.support import wait_until

#: A machine that stands still for a moment must not end what has hardly begun, nor what takes no time.
LIMIT_S = 2.0


def send(scene: Scene, function: Any, *args: Any, expect: Any, **options: Any) -> AsyncResult[Any]:
    """Send a message with options."""
    return scene.enter(scene.task(function).apply_async((str(scene.folder), *args), **options), expect=expect)


@pytest.mark.parametrize("function", [limited.spin, limited.backtrack])
def test_the_hard_limit_ends_what_never_lets_go_of_the_interpreter(scene: Scene, function: Any) -> None:
    """It is a failure by name, is charged with no crash, runs once, and its neighbours run as if nothing had been."""
    scene.worker(1)
    long = send(scene, function, "long", expect=TimeLimitExceeded, time_limit=LIMIT_S)
    pid = scene.started("long")
    neighbours = scene.send_many(tasks.add, [(i, 1) for i in range(20)], range(1, 21))
    neighbours.get(90)
    assert is_gone(pid)
    error: Any = long.get(90, propagate=False)
    assert (error.limit_s, error.task_id) == (LIMIT_S, long.id)
    assert f"time_limit of {LIMIT_S:g} s" in str(error)
    assert scene.state_of(long) == "FAILURE"
    scene.check()
    assert scene.crashes(long) == 0
    assert len(scene.notes()) == 1


def test_what_waits_behind_an_overdue_message_goes_back_in_line(scene: Scene) -> None:
    """They were claimed together, and one after the other is too long: nobody else is charged."""
    scene.worker(1)
    # so that the child takes all of them at once
    scene.send_many(tasks.hold_or_nap, [(str(scene.folder), "train", 0.0)] * 300, [0.0] * 300)
    scene.settle()
    task = scene.task(tasks.hold_or_nap)
    with scene.mesh.batch():
        sent = [
            scene.enter(
                task.apply_async((str(scene.folder), f"m{i}", s), time_limit=LIMIT_S),
                expect=TimeLimitExceeded if s < 0 else s,
            )
            for i, s in enumerate([0.0, -1.0, 0.0, -1.0, 0.0])
        ]
    scene.check()
    assert [scene.crashes(handle) for handle in sent] == [0] * 5


def test_the_soft_limit_is_raised_in_the_task_which_may_catch_it(scene: Scene) -> None:
    worker = scene.worker(1)
    family = worker.family()
    caught = send(scene, limited.give_up, "a", 7, expect=7, soft_time_limit=0.2)
    waits = send(scene, limited.give_up_async, "b", 8, expect=8, soft_time_limit=timedelta(seconds=0.2))
    error = send(scene, tasks.hold, "c", expect=SoftTimeLimitExceeded, soft_time_limit="0.2s")
    error_async = send(scene, tasks.hold_async, "d", expect=SoftTimeLimitExceeded, soft_time_limit=0.2)
    scene.check()
    assert worker.family() == family, "the child lives on"
    assert {"a-cleaned 0.2", "b-cleaned 0.2"} <= set(scene.notes())
    assert [scene.state_of(handle) for handle in (caught, waits, error, error_async)] == [
        "SUCCESS",
        "SUCCESS",
        "FAILURE",
        "FAILURE",
    ]
    # no alarm is left for those that come after, however long they take
    send(scene, tasks.nap, "after", 0.5, expect=0.5)
    scene.check()


def test_the_hard_limit_ends_a_task_that_takes_no_notice_of_the_soft_one(scene: Scene) -> None:
    scene.worker(1)
    send(scene, limited.take_no_notice, "x", expect=TimeLimitExceeded, soft_time_limit=0.2, time_limit=5)
    scene.check()
    assert [line.split()[0] for line in scene.notes()] == ["x-told"]


def test_a_stopped_child_is_ended_by_the_hard_limit(scene: Scene) -> None:
    scene.worker(1)
    send(scene, limited.stand_still, "still", expect=TimeLimitExceeded, time_limit=LIMIT_S)
    scene.started("still")
    scene.send(tasks.add, 1, 2, expect=3)
    scene.check()


def test_limits_of_the_task_hold_and_those_of_the_call_come_first(scene: Scene) -> None:
    scene.worker(2)
    send(scene, limited.short, "short", expect=SoftTimeLimitExceeded)
    send(scene, limited.brief, "brief", expect=TimeLimitExceeded)
    free = send(scene, limited.brief, "free", expect=0, time_limit=0)
    scene.started("free")
    send(scene, limited.short, "later", expect=TimeLimitExceeded, soft_time_limit=0, time_limit=0.3)
    wait_until(lambda: scene.states() == {"FAILURE": 3, "STARTED": 1}, what="the others have ended")
    scene.let("free")
    assert free.get(90) == 0
    scene.check()


def test_limits_of_the_worker_hold_for_tasks_without_their_own(scene: Scene) -> None:
    scene.worker(2, soft_time_limit_s=0.2, time_limit_s=30.0)
    soft = scene.send(tasks.hold, str(scene.folder), "soft", expect=SoftTimeLimitExceeded)
    free = send(scene, tasks.hold, "free", expect=0, soft_time_limit=0)
    by_value = scene.enter(scene.mesh.submit(_endless), SoftTimeLimitExceeded)
    for handle in (soft, by_value):
        with pytest.raises(SoftTimeLimitExceeded):
            handle.get(90)
    scene.let("free")
    assert free.get(90) == 0
    scene.check()


def test_limits_of_a_task_that_travels_by_value_travel_with_it(scene: Scene) -> None:
    scene.worker(1)

    @scene.mesh.task(time_limit=0.3)
    def endless() -> None:
        while True:
            pass

    assert endless.by_value
    scene.enter(endless.delay(), TimeLimitExceeded)
    scene.check()


def test_a_worker_refuses_limits_that_contradict_each_other(scene: Scene) -> None:
    worker = scene.worker(1, soft_time_limit_s=5.0, time_limit_s=5.0, ready=False)
    assert worker.exit_code() == 2
    assert "soft_time_limit (5 s) must be shorter than time_limit (5 s)" in worker.said()


def test_a_worker_that_stops_keeps_to_the_limits(scene: Scene) -> None:
    worker = scene.worker(1)
    send(scene, tasks.hold, "held", expect=TimeLimitExceeded, time_limit=LIMIT_S)
    scene.started("held")
    worker.send(signal.SIGTERM)
    assert worker.exit_code() == 0
    scene.check()


def test_a_child_that_is_ended_is_replaced_at_once(scene: Scene) -> None:
    worker = scene.worker(1)
    for times in (1, 2, 3):
        send(scene, limited.spin, f"spun{times}", expect=TimeLimitExceeded, time_limit=0.1)
    scene.check()
    wait_until(lambda: scene.children_of("worker1") == 4, what="each was replaced")
    assert worker.process.poll() is None


def _endless() -> None:
    while True:
        pass
