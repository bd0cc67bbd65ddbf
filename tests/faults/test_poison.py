"""Messages that kill whoever runs them, under load: they are given up, and nobody else is charged."""

from __future__ import annotations

import sys

import pytest

from tests.apps import ledger_tasks
from tests.faults.load import Load
from tests.faults.scene import Scene

LIMIT_BYTES = 1 << 32


@pytest.mark.parametrize("how", ["segfault", "exit", "killed for want of memory"])
def test_poison_under_load(scene: Scene, seed: int, how: str) -> None:
    """Each is begun three times and no more; no neighbour is given up, or run again for no reason."""
    scene.worker(2)
    with Load(scene, seed=seed) as load:
        load.ran(50)
        poison = [load.send_as("poison", ledger_tasks.poison, how) for _ in range(4)]
        load.ran(100)
    load.balance()
    begun = [run.task_id for run in load.ledger.begins]
    assert [begun.count(task_id) for task_id in poison] == [3] * 4


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the limit does not hold")
def test_a_task_that_gets_no_memory_fails_and_harms_nobody(scene: Scene) -> None:
    worker = scene.worker(1)
    family = worker.family()
    handle = scene.send(ledger_tasks.hoard, LIMIT_BYTES, expect=MemoryError)
    scene.send(ledger_tasks.hoard, LIMIT_BYTES, expect=MemoryError)
    scene.check()
    assert scene.state_of(handle) == "FAILURE"
    assert worker.family() == family
