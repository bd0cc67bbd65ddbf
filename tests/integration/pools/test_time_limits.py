"""Time limits where many messages run in one process."""

from __future__ import annotations

from typing import Any

import pytest

from taskmesh.errors import SoftTimeLimitExceeded, TimeLimitExceeded
from tests.apps import limited_tasks as limited
from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene
from tests.support import wait_until


def send(scene: Scene, function: Any, name: str, *more: Any, expect: Any, **options: Any) -> Any:
    handle = scene.task(function).apply_async((str(scene.folder), name, *more), **options)
    return scene.enter(handle, expect)


@pytest.mark.parametrize("pool", ["thread:4", "async:4"])
def test_the_hard_limit_of_a_function_ends_the_process_and_charges_nobody(scene: Scene, pool: str) -> None:
    """Nothing less ends a thread. Its neighbours run again, and are none the worse for it."""
    scene.worker(pools=(pool,))
    neighbour = send(scene, tasks.hold, "neighbour", 5, expect=5)
    first = scene.started("neighbour")
    long = send(scene, limited.spin, "long", expect=TimeLimitExceeded, time_limit=0.3)
    assert scene.started("neighbour", times=2) != first
    scene.let("neighbour")
    scene.check()
    assert (scene.state_of(long), scene.crashes(long), scene.crashes(neighbour)) == ("FAILURE", 0, 0)
    # it was not run again; the time may have been over before it could note that it ran
    assert len([line for line in scene.notes() if line.startswith("long")]) <= 1


def test_a_coroutine_beyond_its_limits_is_told_and_then_cancelled_and_no_other_is_touched(
    scene: Scene,
) -> None:
    scene.worker(pools=("async:8",), env={"TASKMESH_TEST_GRACE_S": "60"})
    neighbour = send(scene, tasks.hold_async, "neighbour", 5, expect=5)
    pid = scene.started("neighbour")
    caught = send(scene, limited.give_up_async, "caught", 7, expect=7, soft_time_limit=0.2)
    soft = send(scene, tasks.hold_async, "soft", expect=SoftTimeLimitExceeded, soft_time_limit=0.2)
    hard = send(scene, tasks.hold_async, "hard", expect=TimeLimitExceeded, time_limit=0.3)
    for each in (caught, soft, hard):
        each.get(90, propagate=False)
    assert scene.states().get("STARTED") == 1
    assert "so it was cancelled" in str(hard.get(90, propagate=False))
    scene.let("neighbour")
    assert neighbour.get(90) == 5
    scene.check()
    assert {scene.started(name) for name in ("neighbour", "soft", "hard")} == {pid}


def test_a_coroutine_that_blocks_the_loop_is_ended_with_the_process(scene: Scene) -> None:
    scene.worker(pools=("async:8",))
    spin = send(scene, limited.spin_async, "spin", expect=TimeLimitExceeded, time_limit=0.2)
    # its time may be over before it can note that it runs
    wait_until(lambda: scene.state_of(spin) in ("STARTED", "FAILURE"), what="it runs")
    scene.send(tasks.add, 1, 2, expect=3)
    scene.check()


def test_the_first_of_many_deadlines_is_the_one_that_counts(scene: Scene) -> None:
    """Each is ended for its own limit; those that end in time take theirs back."""
    scene.worker(pools=("thread:6",))
    send(scene, tasks.hold, "late", expect=TimeLimitExceeded, time_limit=5.5)
    send(scene, tasks.nap, "quick", 0.05, expect=0.05, time_limit=4.0)
    send(scene, tasks.hold, "early", expect=TimeLimitExceeded, time_limit=5.0)
    scene.check(90)
    wait_until(lambda: scene.children_of("worker1") >= 2, what="the process was replaced")
    assert len([line for line in scene.notes() if line.split()[0] == "early"]) == 1


def test_what_runs_among_many_may_look_whether_it_is_revoked(scene: Scene) -> None:
    scene.worker(pools=("async:4",))
    watch = send(scene, limited.watch, "watch", expect="saw it")
    scene.started("watch")
    assert not watch.revoke()
    scene.check()


def test_progress_is_told_from_threads_and_coroutines(scene: Scene) -> None:
    scene.worker(pools=("async:4",))
    handle = send(scene, limited.tell, "tell", expect="told")
    wait_until(lambda: handle.progress is not None and handle.progress.done == 999, what="the last is read")
    scene.let("tell")
    scene.check()
