"""Weights and rate limits that operators set while workers run."""

from __future__ import annotations

import pytest

from taskmesh.errors import UsageError
from taskmesh.queue.setting import put_rate_limit
from tests.integration.client.test_rate_limits import LATE, most_in_a_second
from tests.support import wait_until

TIMEOUT_S = 90.0


@pytest.fixture
def fleet(app):
    """Two worker processes of a queue of their own."""
    workers = app.mesh.workers
    with workers(1, queues=("set",), name="left"), workers(1, queues=("set",), name="right"):
        yield


@pytest.fixture
def untouched(mesh):
    """Take away at the end what a test sets for tasks."""
    yield
    for task in mesh.rate_limits():
        mesh.reset_rate_limit(task)


@pytest.mark.usefixtures("fleet", "untouched")
def test_a_task_that_the_code_does_not_limit_is_limited_within_a_second_by_all_workers(app, mesh):
    """Workers know of it when they have started a message with one; then 40 more are sent."""
    assert mesh.set_rate_limit(app.start_free, "20/s")
    assert not mesh.set_rate_limit(app.start_free, 20)
    assert mesh.rate_limits() == {app.start_free.name: "20/s"}

    def most() -> tuple[int, int]:
        told = app.start_free.map(range(40), queue="set").get(timeout=TIMEOUT_S)
        return most_in_a_second([at for at, *_ in told]), len({worker for _, worker, *_ in told})

    # those that start before a worker has heard of it, within the second that the guide promises, do not count
    wait_until(
        lambda: (count := most())[0] <= 20 + LATE and count[1] == 2, what="both workers keep the limit"
    )
    assert most()[0] <= 20 + LATE


@pytest.mark.usefixtures("fleet", "untouched")
def test_what_waits_by_the_limit_of_the_code_starts_when_an_operator_lifts_it(app, mesh):
    """One an hour says the code."""
    results = app.start_unless_lifted.map(range(300), queue="set")
    wait_until(lambda: sum(result.state == "SCHEDULED" for result in results) >= 299)
    assert mesh.set_rate_limit(app.start_unless_lifted.name, "none")
    assert sorted(results.get(timeout=TIMEOUT_S)) == list(range(300))
    assert mesh.rate_limits() == {app.start_unless_lifted.name: "none"}


@pytest.mark.usefixtures("fleet", "untouched")
def test_without_a_limit_of_an_operator_that_of_the_code_holds_again(app, mesh):
    mesh.set_rate_limit(app.start_unless_lifted, "none")
    assert mesh.reset_rate_limit(app.start_unless_lifted)
    assert not mesh.reset_rate_limit(app.start_unless_lifted)
    results = app.start_unless_lifted.map(range(2), queue="set")
    wait_until(lambda: any(result.state == "SCHEDULED" for result in results))
    assert sum(result.revoke() for result in results) >= 1


def test_what_cannot_be_set_is_refused(app, mesh):
    with pytest.raises(UsageError, match="'100/s'"):
        mesh.set_rate_limit(app.start_free, "100 per second")
    with pytest.raises(UsageError, match="1 to 1000"):
        mesh.set_queue_weight("set", 0)
    with pytest.raises(ValueError, match="expected a text"):
        mesh.link.run(put_rate_limit(mesh.link.session, "a.b", "often"))


def test_a_weight_is_set_and_taken_away(mesh):
    assert mesh.set_queue_weight("set", 3)
    assert not mesh.set_queue_weight("set", 3)
    assert mesh.queue_weights() == {"set": 3}
    assert mesh.reset_queue_weight("set")
    assert not mesh.reset_queue_weight("set")
    assert mesh.queue_weights() == {}
