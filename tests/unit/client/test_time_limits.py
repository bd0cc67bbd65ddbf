"""Limits of time as they are given: how each is read, which come first, what is refused, and what eager mode keeps."""

from __future__ import annotations

import asyncio
import signal
import threading
from datetime import timedelta

import pytest

from taskmesh import TaskMesh, current_task
from taskmesh.core.limits import Limits, limits_of
from taskmesh.errors import ConfigError, SoftTimeLimitExceeded, UsageError

SOON_S = 0.02


@pytest.fixture
def mesh() -> TaskMesh:
    return TaskMesh("limits", eager=True)


def test_a_limit_is_seconds_a_timedelta_or_a_text(mesh: TaskMesh) -> None:
    @mesh.task(soft_time_limit="90s", time_limit=timedelta(minutes=2))
    def task() -> None:
        """Do nothing."""

    assert (task.options.soft_time_limit_s, task.options.time_limit_s) == (90.0, 120.0)
    assert task.send_options({"time_limit": "1h", "soft_time_limit": 5}).extras == {
        "hard": 3600.0,
        "soft": 5.0,
    }
    assert task.send_options({"time_limit": None}).extras == task.send_options({}).extras


@pytest.mark.parametrize("given", [-1, "soon", True, "500d", object()])
@pytest.mark.parametrize("name", ["soft_time_limit", "time_limit"])
def test_what_is_no_limit_is_refused_by_name(mesh: TaskMesh, name: str, given: object) -> None:
    with pytest.raises(UsageError, match=name):
        mesh.task(**{name: given})(print)


def test_a_soft_limit_that_comes_too_late_is_refused_where_it_is_given(mesh: TaskMesh) -> None:
    with pytest.raises(UsageError, match=r"soft_time_limit \(5 s\) must be shorter than time_limit \(5 s\)"):
        mesh.task(soft_time_limit=5, time_limit=5)(print)
    task = mesh.task(time_limit=5)(threading.get_ident)
    with pytest.raises(UsageError, match="must be shorter"):
        task.apply_async(soft_time_limit=7)
    with pytest.raises(UsageError, match="must be shorter"):
        task.map([1], soft_time_limit=2, time_limit=1)
    with pytest.raises(ConfigError, match=r"settings soft_time_limit \(argument\).*must be shorter"):
        TaskMesh("limits", soft_time_limit=5, time_limit=1)


def test_a_call_comes_before_its_task_and_that_before_the_worker(mesh: TaskMesh) -> None:
    default = Limits(10, 20)
    task = mesh.task(time_limit=5)(print).options
    assert limits_of(None, None, Limits()) is None
    assert limits_of(None, None, default) == default
    assert limits_of(None, task, default) == Limits(10, 5)
    assert limits_of({"hard": 7.0}, task, default) == Limits(10, 7)
    assert limits_of({"hard": 0, "soft": 0.0}, task, default) is None


@pytest.mark.parametrize("strange", ["5", True, -1, [1], 1e30])
def test_what_another_release_may_have_written_is_passed_over(strange: object) -> None:
    assert limits_of({"hard": strange}, None, Limits(0, 3)) == Limits(0, 3)


def test_eager_tasks_are_told(mesh: TaskMesh) -> None:
    @mesh.task(soft_time_limit=300)
    def slow() -> str:
        try:
            signal.setitimer(signal.ITIMER_REAL, SOON_S)  # not before it would be caught
            threading.Event().wait(60)
        except SoftTimeLimitExceeded as error:
            return f"told after {error.limit_s:g}"
        return "never told"

    @mesh.task(soft_time_limit=SOON_S)
    async def slow_async() -> None:
        await asyncio.sleep(60)

    assert slow.delay().get() == "told after 300"
    assert slow.apply().get() == "told after 300"
    assert slow.apply_async(soft_time_limit=400).get() == "told after 400"
    with pytest.raises(SoftTimeLimitExceeded):
        slow_async.delay().get()
    assert asyncio.run(_awaited(slow_async)) == "SoftTimeLimitExceeded"


def test_the_setting_holds_in_eager_mode_too() -> None:
    mesh = TaskMesh("limits", eager=True, soft_time_limit=SOON_S)
    handle = mesh.task(threading.Event().wait, name="wait").delay(60)
    with pytest.raises(SoftTimeLimitExceeded):
        handle.get()


async def _awaited(task: object) -> str:
    handle = await task.adelay()  # type: ignore[attr-defined]
    try:
        await handle
    except SoftTimeLimitExceeded as error:
        return type(error).__name__
    return "in time"


def test_eager_and_plain_calls_may_tell_and_nobody_is_told(mesh: TaskMesh) -> None:
    @mesh.task(bind=True)
    def tell(self: object, state: str = "PROGRESS", task_id: str | None = None) -> bool:
        self.update_state(task_id=task_id, state=state, meta={"a": 1})  # type: ignore[attr-defined]
        return True

    assert tell()
    assert tell.delay().get()
    with pytest.raises(UsageError, match="state of every message"):
        tell.delay("SUCCESS").get()
    with pytest.raises(UsageError, match="of the message that it runs for only"):
        tell.delay("PROGRESS", "another").get()

    @mesh.task
    def look() -> bool:
        task = current_task()
        task.report_progress(1, 2, "three")
        return task.revoked

    assert look.delay().get() is False
