"""Pain 2: a worker stays up but stops consuming after its connection flaps.

celery/celery#8030, #8091, #10205; here on the native path.
"""

from __future__ import annotations

from tests.apps import worker_tasks as tasks
from tests.support import wait_until


def test_connections_that_are_cut_again_and_again_stop_nobody(scene, at_scale):
    scene.worker(2)
    flaps, done = at_scale(25, 500), 0
    for flap in range(flaps):
        scene.send_many(tasks.add, [(flap, n) for n in range(20)], [flap + n for n in range(20)])
        scene.node.client_kill_filter(_type="normal", skipme=True)
        if flap % 5 == 4:
            done = len(scene.accepted)
            wait_until(lambda wanted=done: scene.states().get("SUCCESS", 0) >= wanted)
    scene.check()
    # and whoever was idle when the last one was cut hears of the next message
    scene.node.client_kill_filter(_type="normal", skipme=True)
    last = scene.send(tasks.add, 1, 2, expect=3)
    assert last.get(timeout=90) == 3
