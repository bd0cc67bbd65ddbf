"""Paused queues: accepted, and not begun until the queue goes on."""

from __future__ import annotations

import pytest

from taskmesh.errors import UsageError
from tests.support import wait_until

TIMEOUT_S = 90.0


@pytest.fixture
def paused(app):
    """A queue with a worker that is idle, paused; it goes on at the end."""
    queue = "pausing"
    with app.mesh.workers(1, queues=(queue, "beside")):
        assert app.add.apply_async((1, 1), queue=queue).get(timeout=TIMEOUT_S) == 2
        assert app.mesh.pause_queue(queue)
        yield queue
        app.mesh.resume_queue(queue)


def test_nothing_of_a_paused_queue_is_begun_until_it_goes_on(app, mesh, paused):
    waiting = app.add.map(range(20), queue=paused)
    delayed = app.add.apply_async((40, 2), queue=paused, countdown=0.05)
    # what the same worker serves beside goes on, and by then it has passed the paused queue
    assert app.add.apply_async((1, 2), queue="beside").get(timeout=TIMEOUT_S) == 3
    wait_until(lambda: delayed.state == "PENDING")
    assert {result.state for result in waiting} == {"PENDING"}
    assert mesh.paused_queues() == [paused]
    assert mesh.resume_queue(paused)
    assert mesh.paused_queues() == []
    assert waiting.get(timeout=TIMEOUT_S) == list(range(20))
    assert delayed.get(timeout=TIMEOUT_S) == 42


def test_a_child_that_is_idle_is_handed_nothing_of_a_paused_queue(app, mesh, paused):
    """The script that accepts a message gives it to an idle child at once: not here."""
    result = app.add.apply_async((1, 2), queue=paused)
    assert result.state == "PENDING"
    mesh.resume_queue(paused)
    assert result.get(timeout=TIMEOUT_S) == 3


def test_what_waits_in_a_paused_queue_can_be_revoked(app, paused):
    result = app.add.apply_async((1, 2), queue=paused)
    assert result.revoke()


def test_pausing_twice_changes_nothing(mesh, paused):
    assert not mesh.pause_queue(paused)
    assert mesh.resume_queue(paused)
    assert not mesh.resume_queue(paused)


def test_a_name_that_can_be_no_queue_is_refused(mesh):
    with pytest.raises(UsageError, match="no queue"):
        mesh.pause_queue("no queue")
