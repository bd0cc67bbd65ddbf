"""Rate limits hold for all workers together."""

from __future__ import annotations

import pytest

from taskmesh import current_task
from tests.support import wait_until

TIMEOUT_S = 90.0
#: What was allowed to start may do so a moment later, one message of each of the two children.
LATE = 2


@pytest.fixture
def fleet(app):
    """Two worker processes of a queue of their own."""
    workers = app.mesh.workers
    with workers(1, queues=("limited",), name="left"), workers(1, queues=("limited",), name="right"):
        yield


def most_in_a_second(started: list[float]) -> int:
    """Return the most starts that any second sees."""
    return max(sum(at <= other <= at + 1.0 for other in started) for at in started)


def test_two_workers_together_start_no_more_than_the_limit(app, fleet):
    """60 starts at 20 a second; by the clock of the machine, which is the node's."""

    def who_started() -> set[str]:
        told = app.start_limited.map(range(60)).get(timeout=TIMEOUT_S)
        assert most_in_a_second([at for at, *_ in told]) <= 20 + LATE
        assert {attempt for *_, attempt in told} == {1}
        return {worker for _, worker, *_ in told}

    wait_until(lambda: who_started() == {"left", "right"}, what="both have had some")


def test_what_waits_for_its_moment_blocks_nobody_and_can_be_revoked(app, fleet):
    first, second = app.start_seldom.map(range(2), queue="limited")
    wait_until(lambda: {first.state, second.state} == {"SUCCESS", "SCHEDULED"})
    assert app.add.apply_async((1, 2), queue="limited").get(timeout=TIMEOUT_S) == 3
    waiting = first if first.state == "SCHEDULED" else second
    later = app.start_seldom.apply_async((3,), queue="limited", countdown=3600)
    rows = {row["id"]: row["reason"] for row in app.mesh.inspect(limit=1000).scheduled()["node"]}
    assert (rows[waiting.id], rows[later.id]) == ("rate limit", "time")
    assert later.revoke()
    assert waiting.revoke()


def test_a_function_that_travels_takes_its_limit_along(mesh, fleet):
    def seldom() -> int:
        return current_task().attempt

    task = mesh.task(name="seldom by value", rate_limit="1/h", queue="limited")(seldom)
    results = [task.delay() for _ in range(2)]
    wait_until(lambda: {result.state for result in results} == {"SUCCESS", "SCHEDULED"})
    assert sum(result.revoke() for result in results) == 1
    del mesh.tasks["seldom by value"]
