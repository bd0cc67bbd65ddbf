"""The async pool: many coroutines on the event loop of one process."""

from __future__ import annotations

from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene

FOLDERS = [str(i) for i in range(40)]


def test_coroutines_run_at_once_in_one_process(scene: Scene) -> None:
    """All forty have begun before the first is let go."""
    scene.worker(pools=("async:100",))
    sent = [scene.send(tasks.hold_async, str(scene.folder), f"c{i}", i, expect=i) for i in range(40)]
    assert len({scene.started(f"c{i}") for i in range(40)}) == 1
    assert scene.states() == {"STARTED": 40}
    for i in range(40):
        scene.let(f"c{i}")
    scene.check()
    assert len(sent) == 40


def test_plain_functions_do_not_block_the_loop(scene: Scene) -> None:
    scene.worker(pools=("async:20",))
    held = [scene.send(tasks.hold, str(scene.folder), f"plain{i}", expect=0) for i in range(5)]
    for i in range(5):
        scene.started(f"plain{i}")
    scene.send(tasks.nap_async, 0.01, 7, expect=7).get(90)
    assert {scene.state_of(handle) for handle in held} == {"STARTED"}
    for i in range(5):
        scene.let(f"plain{i}")
    scene.check()


def test_each_knows_its_own_message(scene: Scene) -> None:
    scene.worker(pools=("async:20",))
    for task in (tasks.about_async, tasks.about):
        handles = [scene.task(task).delay(0.05) for _ in range(10)]
        found = [handle.get(90) for handle in handles]
        assert [row[0] for row in found] == [row[1] for row in found] == [handle.id for handle in handles]


def test_two_thousand_sleep_at_once(scene: Scene) -> None:
    scene.worker(pools=("async:2000",))
    scene.send_many(tasks.nap_async, [(3.0, i) for i in range(2000)], range(2000))
    scene.check(90)
