"""The thread pool: as many messages at once as it has threads, in one process."""

from __future__ import annotations

from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene
from tests.support import wait_until


def test_as_many_run_at_once_as_there_are_threads(scene: Scene) -> None:
    """And the fifth waits in its line, not in the worker."""
    scene.worker(pools=("thread:4",))
    handles = [scene.send(tasks.hold, str(scene.folder), f"t{i}", i, expect=i) for i in range(5)]
    assert len({scene.started(f"t{i}") for i in range(4)}) == 1
    assert scene.states() == {"STARTED": 4, "PENDING": 1}
    scene.let("t0")
    scene.started("t4")
    for i in range(1, 5):
        scene.let(f"t{i}")
    scene.check()
    assert scene.crashes(handles[4]) == 0


def test_each_knows_its_own_message_and_coroutines_have_the_loop_of_their_thread(scene: Scene) -> None:
    scene.worker(pools=("thread:4",))
    for task in (tasks.about_async, tasks.about):
        # all at once: a thread that has ended with one may take the next
        handles = scene.task(task).starmap([(0.3,)] * 8)
        found = handles.get(90)
        assert [row[0] for row in found] == [row[1] for row in found] == [handle.id for handle in handles]
        assert 1 < len({row[2] for row in found}) <= 4


def test_a_message_that_comes_while_others_run_wakes_the_child(scene: Scene) -> None:
    """It need not wait until an idle child looks by itself."""
    worker = scene.worker(pools=("thread:4",))
    scene.send(tasks.hold, str(scene.folder), "first", expect=0)
    scene.started("first")
    for i in range(20):
        wait_until(lambda: scene.idle() == 1)
        sent = scene.send(tasks.add, i, 1, expect=i + 1)
        # given to the child by the very step that recorded it
        assert scene.state_of(sent) in ("STARTED", "SUCCESS")
        sent.get(90)
    assert len(scene.live_workers()) == 1
    scene.let("first")
    scene.check()
    assert worker.process.poll() is None


def test_nothing_is_handed_over_from_another_queue_when_there_is_no_room(scene: Scene) -> None:
    scene.worker(pools=("thread:1",), queues=("a", "b"))
    wait_until(lambda: scene.idle("a") == scene.idle("b") == 1)
    hold = scene.task(tasks.hold)
    scene.enter(hold.apply_async((str(scene.folder), "one"), queue="a"), 0)
    scene.started("one")
    wait_until(lambda: scene.idle("b") == 0)
    scene.enter(hold.apply_async((str(scene.folder), "two"), queue="b"), 0)
    assert scene.states() == {"STARTED": 1, "PENDING": 1}
    scene.let("one")
    scene.started("two")
    scene.let("two")
    scene.check()
