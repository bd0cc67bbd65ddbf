"""`mesh_worker.fire_due`: tests say when schedules fire."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from taskmesh import TaskMesh, crontab, every
from taskmesh.errors import UsageError

PARIS = ZoneInfo("Europe/Paris")
MARCH = datetime(2026, 3, 28, tzinfo=PARIS)


def test_each_moment_up_to_the_named_one_fires_once_in_order(mesh: TaskMesh, mesh_worker):
    task = mesh.task(name="two")(lambda number: number + 1)
    mesh.schedule("nightly", crontab("30 2 * * *", tz="Europe/Paris"), task.s(1), jitter="10m")
    mesh.schedule("noon", crontab("0 12 * * *", tz="Europe/Paris"), task.s(5), overlap="skip")
    fired = mesh_worker.fire_due(MARCH + timedelta(days=2), after=MARCH)
    assert [each.id for each in fired] == [
        "nightly@2026-03-28T01:30:00Z",
        "noon@2026-03-28T11:00:00Z",
        "nightly@2026-03-29T01:00:00Z",
        "noon@2026-03-29T10:00:00Z",
    ]
    assert fired.get(timeout=90) == [2, 6, 2, 6]
    assert [each.id for each in mesh_worker.fire_due(MARCH + timedelta(days=2, hours=3))] == [
        "nightly@2026-03-30T00:30:00Z"
    ]
    assert len(mesh_worker.fire_due(MARCH + timedelta(days=2, hours=3))) == 0


def test_what_is_to_come_fires_without_waiting_for_it_and_nothing_before_the_worker_was_made(
    mesh: TaskMesh, mesh_worker
):
    task = mesh.task(name="one")(lambda: 1)
    mesh.schedule("hourly", every("1h"), task.s())
    (fired,) = mesh_worker.fire_due(datetime.now(PARIS) + timedelta(hours=1))
    assert fired.get(timeout=90) == 1


def test_a_schedule_of_the_code_fires_and_a_paused_one_does_not(mesh: TaskMesh, mesh_worker):
    @mesh.every("1h", name="coded")
    def coded() -> str:
        return "done"

    (fired,) = mesh_worker.fire_due(MARCH + timedelta(minutes=90), after=MARCH + timedelta(minutes=30))
    assert fired.get(timeout=90) == "done"
    assert mesh.schedules.pause("coded")
    assert len(mesh_worker.fire_due(MARCH + timedelta(days=1))) == 0


def test_what_cannot_be_meant_is_refused(mesh: TaskMesh, mesh_worker):
    mesh.schedule("often", every(0.1), mesh.task(name="x")(lambda: 1).s())
    with pytest.raises(UsageError, match="more than 10,000 firings"):
        mesh_worker.fire_due(MARCH + timedelta(days=1), after=MARCH)
    with pytest.raises(UsageError, match="zone"):
        mesh_worker.fire_due(datetime(2026, 3, 28))  # noqa: DTZ001 - that is the mistake
