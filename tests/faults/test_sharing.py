"""Children claim many messages at once, and still nobody waits behind somebody else's slow task."""

from __future__ import annotations

import os

from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene
from tests.support import wait_until

#: More than are sent in two leases.
BEATS = 11


def train(scene: Scene) -> None:
    """Have the children see that the task is tiny: from then on they claim many at once."""
    folder = str(scene.folder)
    scene.send_many(tasks.hold_or_nap, [(folder, "train", 0.0)] * 600, [0.0] * 600)
    scene.settle()


def claimed_together(scene: Scene) -> int:
    """Return how many messages the largest claim holds now."""
    found = 0
    for key in scene.node.keys(f"{scene.prefix}run:*"):
        found = max([found, *(len(ids.split()) for ids in scene.node.hvals(key))])
    return found


def test_what_waits_behind_a_slow_task_is_recalled_and_run_by_others(scene: Scene) -> None:
    """All 100 others finish while the slow one still runs, which ends only when the test says so."""
    folder = str(scene.folder)
    worker = scene.worker(2)

    def was_recalled() -> bool:
        train(scene)
        slow = f"slow{len(scene.accepted)}"
        calls = [(folder, slow, -1.0)] + [(folder, f"quick{i}", 0.01) for i in range(100)]
        sent = scene.send_many(tasks.hold_or_nap, calls, [call[2] for call in calls])
        for handle in sent[1:]:
            handle.get(90)
        assert scene.state_of(sent[0]) == "STARTED"
        recalled = "behind a slow task: " in worker.said()
        scene.let(slow)
        return recalled

    # on a machine that stands still now and then a child may have come to claim singly: nothing waits behind it then
    wait_until(was_recalled, 240, "something is recalled")
    scene.check()
    assert {scene.crashes(handle) for handle, _ in scene.accepted.values()} == {0}


def test_a_child_that_is_alone_still_runs_everything_and_nothing_twice(scene: Scene) -> None:
    """What was recalled from it comes back to it; what it had begun is not run again."""
    folder = str(scene.folder)
    scene.worker(1)
    train(scene)
    calls = [(folder, "slow", -1.0)] + [(folder, f"quick{i}", 0.0) for i in range(100)]
    scene.send_many(tasks.hold_or_nap, calls, [call[2] for call in calls])
    scene.started("slow")
    wait_until(lambda: claimed_together(scene) == 1, what="only what runs is held")
    scene.let("slow")
    scene.check()
    names = [line.split()[0] for line in scene.notes() if not line.startswith("train")]
    assert len(names) == len(set(names)) == 101


def test_an_outcome_is_visible_while_a_later_task_of_its_claim_runs(scene: Scene) -> None:
    """The task counts as tiny, so outcomes may wait for each other; this one run is not."""
    folder = str(scene.folder)
    scene.worker(1)
    train(scene)
    calls = [(folder, "quick", 0.0), (folder, "slow", -1.0)]
    quick, slow = scene.send_many(tasks.hold_or_nap, calls, [0.0, -1.0])
    scene.started("slow")
    assert quick.get(90) == 0.0
    assert scene.state_of(slow) == "STARTED"
    scene.let("slow")
    scene.check()


def test_a_task_that_keeps_the_interpreter_lock_does_not_look_dead(calm: Scene) -> None:
    """It does so for longer than two leases, watched by another worker, and its neighbours run meanwhile."""
    scene, folder = calm, str(calm.folder)
    holder = scene.worker(1, name="holder")
    scene.send(tasks.hold_gil, folder, "train", wait=False, expect=False).get(90)
    os.mkfifo(scene.folder / "pipe-gil")
    stuck = scene.send(tasks.hold_gil, folder, "gil", wait=True, expect=True)
    scene.started("gil")
    other = scene.worker(1, name="other")
    lives = scene.live_workers()
    key = f"{scene.prefix}w:{lives['holder']}"
    beats = int(scene.node.hget(key, "beat"))
    wait_until(lambda: int(scene.node.hget(key, "beat")) >= beats + BEATS, what="the supervisor beats")
    scene.send(tasks.add, 1, 1, expect=2).get(90)
    assert scene.state_of(stuck) == "STARTED"
    with (scene.folder / "pipe-gil").open("w"):
        assert stuck.get(90) is True
    scene.check()
    assert scene.live_workers() == lives
    assert "declared dead" not in holder.said() + other.said()
    assert len([line for line in scene.notes() if line.startswith("gil")]) == 1
    assert scene.crashes(stuck) == 0


def test_a_child_that_holds_the_interpreter_lock_gives_up_what_waits(scene: Scene) -> None:
    """The child itself can do nothing: its supervisor recalls."""
    folder = str(scene.folder)
    scene.worker(2)
    train(scene)
    os.mkfifo(scene.folder / "pipe-gil")
    with scene.mesh.batch():
        stuck = scene.send(tasks.hold_gil, folder, "gil", wait=True, expect=True)
        scene.send_many(tasks.add, [(i, 1) for i in range(50)], range(1, 51))
    for handle, _ in list(scene.accepted.values())[601:]:
        handle.get(90)
    assert scene.state_of(stuck) == "STARTED"
    with (scene.folder / "pipe-gil").open("w"):
        scene.check()
