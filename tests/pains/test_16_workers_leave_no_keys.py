"""Pain 16: control channels, replies and heartbeats of workers that are gone fill the store.

celery/kombu#294, celery/celery#6089; readthedocs/readthedocs.org#10002.
"""

from __future__ import annotations

import json
import signal

from tests.apps import worker_tasks as tasks
from tests.faults.scene import kill
from tests.support import wait_until


def kinds(scene) -> set[str]:
    """Return the keys of the mesh, those of single messages and workers by their kind only."""
    prefix = scene.prefix.encode()
    found = {key.removeprefix(prefix).decode() for key in scene.node.scan_iter(f"{scene.prefix}*")}
    return {key for key in found if not key.startswith(("r:", "x:"))}


def candidates(scene) -> set[str]:
    """Return the names of those who have said that they stand by, or lead."""
    return {json.loads(note)["name"] for note in scene.node.hvals(f"{scene.prefix}candidates")}


def test_workers_that_come_and_go_leave_the_keys_as_they_were(scene, at_scale):
    first = scene.worker(1, name="first")
    assert scene.send(tasks.add, 1, 1, expect=2).get(timeout=90) == 2
    # what is agreed upon is the mesh's own, and stays
    wait_until(lambda: {"leader", "seat", "ac:1:r:leader"} <= kinds(scene), what="it leads")
    first.send(signal.SIGTERM)
    assert first.exit_code() == 0
    before = kinds(scene)
    for turn in range(at_scale(3, 300)):
        stopped, killed = scene.worker(1, name=f"stopped-{turn}"), scene.worker(1, name=f"killed-{turn}")
        assert scene.send(tasks.add, turn, 1, expect=turn + 1).get(timeout=90) == turn + 1
        stopped.send(signal.SIGTERM)
        kill(killed.pid)
        assert stopped.exit_code() == 0
        killed.process.wait(90)
    heir = scene.worker(1, name="heir")
    # who is declared dead is not live any more, and is still to be seen to
    wait_until(
        lambda: set(scene.live_workers()) == {"heir"} and scene.node.scard(f"{scene.prefix}workers") == 1
    )
    # what those who were killed had said as candidates the leader has nodes forget a minute later
    wait_until(lambda: candidates(scene) <= {"heir"}, 240)
    heir.send(signal.SIGTERM)
    assert heir.exit_code() == 0
    wait_until(lambda: kinds(scene) <= before, what="keys are left over")


def test_nothing_in_the_store_is_left_to_expire_by_itself(scene):
    """Whatever is to go has somebody who removes it: an expiry of the store's would be another clock."""
    worker = scene.worker(2)
    scene.send_many(tasks.add, [(n, 1) for n in range(50)], range(1, 51))
    scene.check()
    assert {scene.node.ttl(key) for key in scene.node.scan_iter(f"{scene.prefix}*")} == {-1}
    worker.send(signal.SIGTERM)
    assert worker.exit_code() == 0
