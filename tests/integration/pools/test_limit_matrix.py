"""Every limit holds in every pool, whatever a task does, or the worker refuses to start and says why."""

from __future__ import annotations

import pytest

from taskmesh.errors import SoftTimeLimitExceeded, TaskDead, TimeLimitExceeded
from tests.apps import limit_matrix
from tests.faults.scene import Scene

ERRORS = {"soft_time_limit": SoftTimeLimitExceeded, "time_limit": TimeLimitExceeded}


@pytest.mark.parametrize("pool", ["process:1", "thread:4", "async:4"])
@pytest.mark.parametrize("limit", ERRORS)
@pytest.mark.parametrize("what", limit_matrix.FUNCTIONS)
def test_it_ends_in_time_or_does_not_begin(scene: Scene, pool: str, limit: str, what: str) -> None:
    function = limit_matrix.FUNCTIONS[what]
    scene.mesh.task(function)
    sent = scene.send(function, expect=ERRORS[limit])
    env = {"TASKMESH_TEST_MATRIX": f"{what}/{limit}"}
    worker = scene.worker(app="tests.apps.limit_matrix:mesh", pools=(pool,), env=env, ready=False)
    if limit == "soft_time_limit" and what in ("spin", "block") and not pool.startswith("process"):
        # nobody can tell beforehand whether a plain function blocks
        worker.says(f"soft_time_limit of tests.apps.limit_matrix.{what}")
        assert worker.exit_code() == 2
        assert worker.said().count("cannot be interrupted") == 1
        assert scene.state_of(sent) == "PENDING"
        return
    with pytest.raises(ERRORS[limit]):
        sent.get(90)
    scene.check()


@pytest.mark.parametrize("pool", ["thread:4", "async:4"])
def test_a_limit_that_cannot_be_kept_hinders_the_tasks_of_no_other_queue(scene: Scene, pool: str) -> None:
    """And what comes to the wrong queue is refused, with what to do about it; it has not begun."""
    scene.mesh.task(limit_matrix.block)
    worker = scene.worker(
        app="tests.apps.limit_matrix:mesh",
        pools=(f"{pool}=default", "process:1=cpu"),
        env={"TASKMESH_TEST_MATRIX": "block/soft_time_limit/cpu"},
    )
    block = scene.task(limit_matrix.block)
    scene.enter(block.apply_async(queue="cpu"), SoftTimeLimitExceeded)
    astray = block.apply_async(queue="default")
    too_short = block.apply_async(queue="default", soft_time_limit=0.1)
    for refused in (astray, too_short):
        with pytest.raises(TaskDead, match=r"limit_matrix\.block.*cannot be interrupted.*time_limit as well"):
            refused.get(90)
        scene.enter(refused, TaskDead)
    scene.check()
    assert worker.process.poll() is None


@pytest.mark.parametrize("pool", ["thread:4", "async:4"])
def test_a_soft_limit_reaches_what_computes_in_a_thread(scene: Scene, pool: str) -> None:
    """Beside a hard one, which a worker is content with."""
    scene.mesh.task(limit_matrix.spin)
    worker = scene.worker(
        app="tests.apps.limit_matrix:mesh",
        pools=(pool,),
        env={"TASKMESH_TEST_MATRIX": "spin/time_limit"},
    )
    spin = scene.task(limit_matrix.spin)
    sent = [
        scene.enter(spin.apply_async(soft_time_limit=0.2, time_limit=60.0), SoftTimeLimitExceeded)
        for _ in range(3)
    ]
    for handle in sent:
        with pytest.raises(SoftTimeLimitExceeded, match=r"soft_time_limit of 0\.2 s"):
            handle.get(90)
    scene.check()
    assert {scene.crashes(handle) for handle in sent} == {0}
    assert worker.process.poll() is None
