"""Pain 25: whoever reaches the broker runs code.

rq/rq#2389, coleifer/huey#901 (rated 8.1 to 9.8). Each flipped byte is tried in tests/trust; here is the attack itself.
"""

from __future__ import annotations

import os
import pickle

import pytest

from taskmesh.errors import TaskDead, TrustError
from tests.apps import worker_tasks as tasks


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_pickle_written_into_the_node_is_a_dead_letter(scene):
    exploded = scene.folder / "exploded"
    bomb = pickle.dumps(((Bomb(str(exploded)),), {}))
    result = scene.send(tasks.add, 1, 2, expect=TaskDead)
    key = f"{scene.prefix}r:{result.id}"
    record = scene.node.get(key)
    envelope = scene.record(result.id).envelope
    for forged in (bomb, envelope[:-40] + bomb, envelope.replace(b"add", b"nap")):
        scene.node.set(key, record[: -len(envelope)] + forged)
        assert scene.node.get(key) != record
    scene.worker(1)
    assert result.get(timeout=90, propagate=False).reason
    after = scene.send(tasks.add, 1, 1, expect=2)
    assert after.get(timeout=90) == 2
    assert not exploded.exists()


def test_a_result_that_was_changed_is_not_opened_either(scene):
    scene.worker(1)
    exploded = scene.folder / "exploded"
    result = scene.send(tasks.add, 1, 2, expect=3)
    assert result.get(timeout=90) == 3
    found = scene.record(result.id)
    key = f"{scene.prefix}r:{result.id}"
    record = scene.node.get(key)
    bomb = pickle.dumps(Bomb(str(exploded)))
    at = record.index(found.outcome)
    forged = record[:94] + b"%08x" % len(bomb) + record[102:at] + bomb + record[at + len(found.outcome) :]
    scene.node.set(key, forged)
    with pytest.raises(TrustError):
        scene.mesh.result(result.id).get(timeout=90)
    assert not exploded.exists()
