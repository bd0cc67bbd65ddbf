"""Pain 1: long or delayed tasks run again and again, because a fixed timeout says that their worker is dead.

celery/kombu#337, celery/celery#5935, #2599; taskiq-redis#101.
"""

from __future__ import annotations

from collections import Counter

from tests.apps import worker_tasks as tasks
from tests.faults.scene import kill
from tests.support import wait_until


def test_a_task_runs_once_however_long_beyond_the_lease(calm, at_scale):
    """The lease is five seconds; nobody takes over what a living worker runs."""
    scene = calm
    children, seconds = at_scale((4, 7.0), (20, 60.0))
    scene.worker(children)
    scene.worker(1)
    count = at_scale(10, 100)
    sent = scene.send_many(
        tasks.nap,
        [(str(scene.folder), f"nap-{n}", seconds) for n in range(count)],
        [seconds] * count,
    )
    sent.get(timeout=seconds * count + 90)
    assert Counter(scene.notes()) == {f"nap-{n}": 1 for n in range(count)}
    scene.check()


def test_a_delayed_message_runs_once_though_it_waits_longer_than_the_lease(scene, at_scale):
    scene.worker(2)
    delay = at_scale(3.0, 10.0)
    trace = scene.task(tasks.trace)
    sent = [
        scene.enter(trace.apply_async((str(scene.folder), f"late-{n}", n), countdown=delay), n)
        for n in range(20)
    ]
    assert {result.state for result in sent} == {"SCHEDULED"}
    scene.check(timeout_s=delay + 90)
    assert Counter(scene.notes()) == {f"late-{n}": 1 for n in range(20)}


def test_what_a_killed_worker_ran_begins_again_elsewhere(scene):
    doomed = scene.worker(2, name="doomed")
    held = [scene.send(tasks.hold, str(scene.folder), f"held-{n}", n, expect=n) for n in range(2)]
    for n in range(2):
        scene.started(f"held-{n}")
    scene.worker(2, name="heir")
    kill(doomed.pid)
    for n in range(2):
        scene.started(f"held-{n}", times=2)
        scene.let(f"held-{n}")
    scene.check()
    wait_until(lambda: all(scene.crashes(result) == 1 for result in held))
