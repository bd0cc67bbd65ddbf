"""A child of a worker may open no more files: it goes on over its connection, and ends where it has lost that."""

from __future__ import annotations

import signal
import sys

import psutil
import pytest

from taskmesh.errors import TaskDead
from tests.apps import ledger_tasks
from tests.apps import worker_tasks as tasks
from tests.faults.load import Load
from tests.faults.nemesis import children
from tests.faults.scene import Scene, Worker, is_gone
from tests.support import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process")

POOLS = ("process:1", "thread:8", "async:40")
#: A child has some twenty of its own.
FILES = 64
#: How long a child that may open none tries to connect.
PATIENCE = {"TASKMESH_TEST_FILES_S": "0.4"}


def cut(scene: Scene) -> None:
    """End all connections."""
    scene.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def forbid(process: psutil.Process) -> None:
    """Have a process open no file any more: all that it may have are its standard streams."""
    process.rlimit(psutil.RLIMIT_NOFILE, (3, 3))


def all_keep_books(worker: Worker, load: Load) -> list[psutil.Process]:
    """Return the children of a worker, each of which has run something: it has opened its book."""

    def kept() -> list[psutil.Process]:
        load.ledger.read_book(load.book.path)
        found = children(worker)
        return found if {process.pid for process in found} <= {run.pid for run in load.ledger.ends} else []

    return wait_until(kept, what="each child has run something")


@pytest.mark.parametrize("pool", POOLS)
def test_tasks_that_take_all_files_harm_nobody_who_needs_none(scene: Scene, seed: int, pool: str) -> None:
    """Also when the connection is lost: what that has held is enough for another."""
    worker = scene.worker(pools=(pool,))
    with Load(scene, seed=seed) as load:
        load.ran(20)
        for _ in range(4):
            load.send_as("ok", ledger_tasks.take_all_files, FILES)
        load.ran(100)
        family = worker.family()
        cut(scene)
        load.ran(100)
        cut(scene)
        load.ran(20)
    load.balance()
    assert worker.family() == family


@pytest.mark.parametrize("pool", ["process:1", "async:40"])
def test_who_needs_a_file_that_is_not_to_be_had_fails_by_name(scene: Scene, pool: str) -> None:
    worker = scene.worker(pools=(pool,))
    family = worker.family()
    scene.send(ledger_tasks.take_all_files, str(scene.folder), FILES, expect=str).get(90)
    late = scene.send(ledger_tasks.open_file, __file__, expect=OSError)
    assert "Too many open files" in str(late.get(90, propagate=False))
    scene.send(tasks.add, 1, 2, expect=3)
    scene.check()
    assert scene.crashes(late) == 0
    assert worker.family() == family


@pytest.mark.parametrize("pool", POOLS)
def test_a_child_that_cannot_connect_for_want_of_files_is_replaced(
    scene: Scene, seed: int, pool: str
) -> None:
    """It could say nothing of what it holds, nor let go of it. What it ran is run again, and charged to nobody."""
    worker = scene.worker(pools=(pool,), env=PATIENCE)
    with Load(scene, seed=seed) as load:
        doomed = all_keep_books(worker, load)
        for child in doomed:
            forbid(child)
        load.ran(50)
        load.ledger.gone |= {child.pid for child in doomed}
        cut(scene)
        worker.says("may open no more files")
        load.ran(100)
    load.balance()
    assert not {child.pid for child in children(worker)} & {child.pid for child in doomed}
    assert {run.crashes for run in load.ledger.begins} == {0}


@pytest.mark.parametrize("pool", ["process:1", "thread:8"])
def test_what_it_ran_and_may_run_only_once_is_not_begun_again(scene: Scene, pool: str) -> None:
    worker = scene.worker(pools=(pool,), env=PATIENCE)
    task = scene.task(tasks.hold)
    held = scene.enter(task.apply_async((str(scene.folder), "held"), at_most_once=True), TaskDead)
    forbid(psutil.Process(scene.started("held")))
    cut(scene)
    scene.let("held")
    worker.says("may open no more files")
    scene.check()
    assert len(scene.notes()) == 1
    assert "at_most_once forbids another run" in scene.reason(held)


def test_nobody_is_charged_with_its_end(scene: Scene) -> None:
    """Neither the one that has ended, of which it could not tell, nor the one that it was about to begin."""
    folder = str(scene.folder)
    worker = scene.worker(1, env=PATIENCE)
    scene.send_many(tasks.hold_or_nap, [(folder, "train", 0.0)] * 300, [0.0] * 300)
    scene.settle()  # it claims many at once from now on
    # stopped, its supervisor takes nothing back of what waits behind the first
    worker.send(signal.SIGSTOP)
    sent = scene.send_many(tasks.hold_or_nap, [(folder, "first", -1.0), (folder, "second", 0.0)], [-1.0, 0.0])
    pid = scene.started("first")
    forbid(psutil.Process(pid))
    cut(scene)
    scene.let("first")
    wait_until(lambda: is_gone(pid), what="the child has ended")
    worker.send(signal.SIGCONT)
    scene.check()
    assert [scene.crashes(handle) for handle in sent] == [0, 0]
    assert sorted(line.split()[0] for line in scene.notes()[300:]) == ["first", "first", "second"]
