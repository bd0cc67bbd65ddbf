"""Pain 3: tasks are lost when a worker dies between taking a message and writing down that it has it.

celery/kombu#305, celery/celery#7950, #1789. The simulation loses every single reply; here real processes die.
"""

from __future__ import annotations

import random

import pytest

from tests.apps import worker_tasks as tasks
from tests.faults.scene import kill
from tests.pains.conftest import children_of
from tests.support import wait_until


@pytest.fixture
def scene(make_scene, chaos_node):
    # where the machine stands still, several kills in a row may hit one message: that is another promise
    return make_scene("killed-at-random", f"unix://{chaos_node.socket_path}", max_crashes=99)


def test_children_that_are_killed_at_random_lose_nothing(scene, at_scale):
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    kills, per_kill = at_scale((20, 40), (1000, 100))
    worker = scene.worker(2)
    for at in range(kills):
        scene.send_many(tasks.add, [(at, n) for n in range(per_kill)], [at + n for n in range(per_kill)])
        wanted = chance.randrange(len(scene.accepted))
        wait_until(lambda wanted=wanted: scene.states().get("SUCCESS", 0) >= wanted)
        children = children_of(worker)
        if children:
            kill(chance.choice(children).pid)
    try:
        scene.check()
    except AssertionError as error:
        pytest.fail(f"seed {seed}: {error}")
    states = scene.states()
    assert sum(states.values()) == len(scene.accepted)
    assert set(states) == {"SUCCESS"}
