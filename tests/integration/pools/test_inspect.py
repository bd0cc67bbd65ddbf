"""A look at a child that runs many messages at once: all that it holds has begun."""

from __future__ import annotations

from tests.apps import worker_tasks as tasks
from tests.faults.scene import Scene
from tests.support import wait_until


def test_all_that_runs_at_once_is_active(scene: Scene) -> None:
    scene.worker(name="many", pools=("async:100", "process:1=aside"))
    sent = [scene.send(tasks.hold_async, str(scene.folder), f"c{i}", i, expect=i) for i in range(30)]
    for i in range(30):
        scene.started(f"c{i}")
    look = scene.mesh.inspect("many", limit=100)
    wait_until(lambda: len(look.stats()["many"].get("children", ())) == 2, what="its children are known")
    rows = look.active()["many"]
    assert {row["id"] for row in rows} == {handle.id for handle in sent}
    assert {row["task"] for row in rows} == {"tests.apps.worker_tasks.hold_async"}
    assert look.reserved() == {"many": []}
    # since when each runs is known with the next beat
    wait_until(
        lambda: all(row["age_s"] is not None for row in look.active()["many"]), what="their ages are known"
    )
    rows = look.active()["many"]
    assert len(rows) == 30
    assert {row["child"] for row in rows} <= {1, 2}
    assert len(scene.mesh.inspect(limit=7).active()["many"]) == 7
    stats = wait_until(
        lambda: (found := look.stats()["many"])["running"] == 30 and found, what="it is published"
    )
    assert stats["pool"] == "async:100, process:1"
    assert stats["processed"]["SUCCESS"] == 0
    for i in range(30):
        scene.let(f"c{i}")
    scene.check()
    wait_until(lambda: look.stats()["many"]["processed"]["SUCCESS"] == 30, what="all are counted")
    wait_until(lambda: look.stats()["many"]["running"] == 0, what="nothing runs")
