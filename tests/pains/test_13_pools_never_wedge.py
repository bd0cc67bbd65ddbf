"""Pain 13: a pool hangs after forks and kills.

celery/celery#4185, #1218; coleifer/huey#924.
"""

from __future__ import annotations

import contextlib
import random
import signal
import threading

import psutil
import pytest

from tests.apps import worker_tasks as tasks
from tests.pains.conftest import children_of
from tests.support import wait_until


@pytest.fixture
def scene(make_scene, chaos_node):
    # two thousand kills in a row may well hit one message three times
    return make_scene("pools-at-random", f"unix://{chaos_node.socket_path}", max_crashes=99)


def let_go_on(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGCONT)


def test_children_that_are_killed_or_stopped_at_random_leave_no_slot_stuck(scene, at_scale):
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    worker = scene.worker(3)
    for at in range(at_scale(20, 2000)):
        scene.send_many(tasks.add, [(at, n) for n in range(30)], [at + n for n in range(30)])
        children = children_of(worker)
        if not children:
            continue
        victim = chance.choice(children)
        try:
            victim.send_signal(chance.choice([signal.SIGKILL, signal.SIGSTOP]))
        except psutil.NoSuchProcess:
            continue
        # a stopped child holds what it runs, and only that: it is let go on a moment later
        threading.Timer(0.2, let_go_on, [victim]).start()
    scene.check()
    # every slot works: three that wait for each other run at once
    held = [scene.send(tasks.hold, str(scene.folder), f"slot-{n}", n, expect=n) for n in range(3)]
    for n in range(3):
        scene.started(f"slot-{n}")
    for n in range(3):
        scene.let(f"slot-{n}")
    wait_until(lambda: all(result.ready() for result in held))
