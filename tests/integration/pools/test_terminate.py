"""Revoking with terminate where many run in one process: one run is called off, its neighbours are not touched."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from taskmesh.errors import TaskRevoked
from tests.apps import limited_tasks as limited
from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene
from tests.support import wait_until


def begin(
    scene: Scene, function: Any, name: str, *more: Any, expect: Any = TaskRevoked, **options: Any
) -> Any:
    handle = scene.task(function).apply_async((str(scene.folder), name, *more), **options)
    scene.enter(handle, expect)
    scene.started(name)
    return handle


#: What heeds that it is called off has the time for it, on whatever machine.
PATIENT = {"TASKMESH_TEST_GRACE_S": "60"}


def runs_of(scene: Scene, name: str) -> list[str]:
    return [line for line in scene.notes() if line.split()[0] == name]


@pytest.mark.parametrize(
    ("pool", "function"),
    [
        ("async:4", limited.clean_up_async),
        ("async:4", limited.clean_up),
        ("thread:4", limited.clean_up),
        ("thread:4", limited.clean_up_async),
    ],
)
def test_one_of_many_is_called_off_and_cleans_up(scene: Scene, pool: str, function: Any) -> None:
    """It is never tried again, nothing is charged, and neither its process nor its neighbours notice."""
    scene.worker(pools=(pool,), env=PATIENT)
    neighbour = begin(scene, tasks.hold, "neighbour", 5, expect=5)
    long = begin(scene, function, "long", time_limit=60, soft_time_limit=50)
    assert not long.revoke(terminate=True)
    with pytest.raises(TaskRevoked, match="while it ran, by client"):
        long.get(90)
    scene.let("neighbour")
    assert neighbour.get(90) == 5
    scene.check()
    assert scene.started("neighbour") == scene.started("long")
    assert (len(runs_of(scene, "long")), scene.crashes(long), scene.crashes(neighbour)) == (1, 0, 0)
    assert "long-cleaned" in scene.notes()
    assert scene.node.hlen(f"{scene.prefix}rv") == 0


@pytest.mark.parametrize(
    ("pool", "function"),
    [
        ("async:4", limited.go_on_async),
        ("async:4", limited.spin_async),
        ("async:4", limited.block),
        ("thread:4", limited.block),
        ("thread:4", limited.ignore_everything),
        ("thread:4", limited.backtrack),
    ],
)
def test_what_goes_on_is_ended_with_the_process_and_charges_nobody(
    scene: Scene, pool: str, function: Any
) -> None:
    """Whatever it does: swallow what is raised, block in C, hold the loop, hold the interpreter."""
    worker = scene.worker(pools=(pool,))
    neighbour = begin(scene, tasks.hold, "neighbour", 5, expect=5)
    first = scene.started("neighbour")
    long = begin(scene, function, "long")
    long.revoke(terminate=True)
    with pytest.raises(TaskRevoked, match=r"while it ran, by client .* with SIGKILL"):
        long.get(90)
    assert scene.started("neighbour", times=2) != first
    scene.let("neighbour")
    scene.check()
    worker.says("was revoked by client")
    assert (len(runs_of(scene, "long")), scene.crashes(long), scene.crashes(neighbour)) == (1, 0, 0)


@pytest.mark.parametrize(
    ("pool", "function"),
    [
        ("async:4", limited.finish_anyway_async),
        ("async:4", limited.finish_anyway),
        ("thread:4", limited.finish_anyway),
    ],
)
def test_one_that_returns_when_it_is_told_has_ended_by_that(scene: Scene, pool: str, function: Any) -> None:
    scene.worker(pools=(pool,), env=PATIENT)
    stubborn = begin(scene, function, "stubborn", 7, expect=7)
    stubborn.revoke(terminate=True)
    assert stubborn.get(90) == 7
    scene.send(tasks.add, 1, 2, expect=3)
    scene.check()
    assert scene.children_of("worker1") == 1


def test_an_error_in_cleaning_up_is_not_how_it_ended(scene: Scene) -> None:
    scene.worker(pools=("thread:4",), env=PATIENT)
    long = begin(scene, limited.fail_to_clean_up, "long")
    long.revoke(terminate=True)
    scene.check()
    assert len(runs_of(scene, "long")) == 1


def test_many_coroutines_are_called_off_at_once(scene: Scene) -> None:
    """More than a child is told at a time."""
    scene.worker(pools=("async:200",), env=PATIENT)
    neighbour = begin(scene, tasks.hold_async, "neighbour", 5, expect=5)
    sent = scene.send_many(
        limited.clean_up_async, [(str(scene.folder), f"m{i}") for i in range(150)], [TaskRevoked] * 150
    )
    wait_until(lambda: scene.states().get("STARTED") == 151, what="all run")
    sent.revoke(terminate=True)
    wait_until(lambda: scene.states() == {"STARTED": 1, "REVOKED": 150}, what="all but one are called off")
    scene.let("neighbour")
    assert neighbour.get(90) == 5
    scene.check()
    assert scene.children_of("worker1") == 1


def test_what_waits_for_a_thread_never_begins(scene: Scene) -> None:
    """An async pool runs plain functions in so many threads at most; the next one waits."""
    scene.worker(pools=("async:4",), env={"TASKMESH_TEST_FEW_THREADS": "1", **PATIENT})
    first = begin(scene, tasks.hold, "first", 5, expect=5)
    waits = scene.send(tasks.hold, str(scene.folder), "waits", expect=TaskRevoked)
    wait_until(lambda: scene.states().get("STARTED") == 2, what="both are claimed")
    waits.revoke(terminate=True)
    assert isinstance(waits.get(90, propagate=False), TaskRevoked)
    scene.let("first")
    assert first.get(90) == 5
    scene.check()
    assert (len(runs_of(scene, "first")), runs_of(scene, "waits")) == (1, [])


def test_a_stopped_child_of_many_is_ended(scene: Scene) -> None:
    """It reads nothing of what it is told."""
    scene.worker(pools=("async:4",))
    held = begin(scene, tasks.hold_async, "held")
    os.kill(scene.started("held"), signal.SIGSTOP)
    held.revoke(terminate=True)
    scene.check()
    assert len(runs_of(scene, "held")) == 1


def test_a_suspect_that_waits_to_be_run_alone_does_not_begin(scene: Scene) -> None:
    """It has been claimed, and its child knows of the order before it begins it."""
    second = scene.worker(pools=("thread:4",), name="second")
    suspects = {name: begin(scene, tasks.hold, name, expect=object) for name in ("a", "b")}
    first = scene.worker(pools=("thread:4",), name="first", queues=("n", "default"), env=PATIENT)
    begin(scene, tasks.hold, "neighbour", 5, expect=5, queue="n")
    second.signal_all(signal.SIGKILL)
    incarnation = scene.live_workers()["first"]

    def waits() -> list[str]:
        records = {name: scene.record(handle.id) for name, handle in suspects.items()}
        return [name for name, found in records.items() if found is not None and incarnation in found.token]

    (name,) = wait_until(waits, what="one of them is claimed")
    suspects[name].revoke(terminate=True)
    first.says("its run is called off")
    scene.let("neighbour")
    assert isinstance(suspects[name].get(90, propagate=False), TaskRevoked)
    scene.let("a")
    scene.let("b")
    scene.check()
    assert len(runs_of(scene, name)) == 1
