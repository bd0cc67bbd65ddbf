"""What Celery mended in its release 5.7.0, as far as it is not about workflows; right here from the start."""

from __future__ import annotations

import threading
import time

import pytest

from taskmesh import ResultSet
from taskmesh.errors import TaskTimeout
from tests.apps import worker_tasks as tasks
from tests.support import wait_until


def test_a_timeout_of_zero_looks_and_does_not_wait(scene):
    """celery/celery#10487, #10524, #10603."""
    result = scene.task(tasks.add).delay(1, 2)
    with pytest.raises(TaskTimeout):
        result.get(timeout=0)
    with pytest.raises(TaskTimeout):
        ResultSet([result]).get(timeout=0)
    with pytest.raises(TaskTimeout):
        next(ResultSet([result]).as_completed(timeout=0))
    scene.worker(1)
    wait_until(result.ready)
    assert result.get(timeout=0) == 3


def test_who_waits_keeps_nobody_from_sending_or_waiting(scene):
    """celery/celery#10715, #10716: a lock was held while waiting."""
    scene.worker(2)
    held = scene.send(tasks.hold, str(scene.folder), "held", expect=0)
    scene.started("held")
    patient = threading.Thread(target=held.get, args=(300,))
    patient.start()
    assert [scene.task(tasks.add).delay(n, 1).get(timeout=90) for n in range(20)] == list(range(1, 21))
    assert patient.is_alive()
    scene.let("held")
    patient.join(90)
    assert not patient.is_alive()


def test_after_reconnecting_a_worker_serves_its_own_queues_and_no_others(scene):
    """celery/celery#10335, #10346."""
    scene.worker(1, queues=("mine",))
    trace, folder = scene.task(tasks.trace), str(scene.folder)
    other = trace.apply_async((folder, "other"), queue="others")
    for turn in range(5):
        scene.node.client_kill_filter(_type="normal", skipme=True)
        mine = trace.apply_async((folder, f"mine-{turn}", turn), queue="mine")
        assert mine.get(timeout=90) == turn
    assert other.state == "PENDING"
    assert "other" not in scene.notes()


def test_what_a_worker_holds_survives_the_closing_of_its_connections(scene):
    """celery/celery#10345: reservations were wiped on close."""
    scene.worker(1)
    folder = str(scene.folder)
    held = scene.send(tasks.hold, folder, "held", 7, expect=7)
    scene.started("held")
    waiting = scene.send_many(tasks.trace, [(folder, f"w-{n}", n) for n in range(20)], range(20))
    scene.node.client_kill_filter(_type="normal", skipme=True)
    scene.let("held")
    assert held.get(timeout=90) == 7
    assert waiting.get(timeout=90) == list(range(20))
    assert sorted(scene.notes()[1:]) == sorted(f"w-{n}" for n in range(20))
    scene.check()


def test_revoking_what_runs_elsewhere_does_not_say_that_it_is_revoked(scene):
    """celery/celery#10922, #10668: REVOKED was written while another worker ran the task."""
    scene.worker(1)
    held = scene.send(tasks.hold, str(scene.folder), "held", 5, expect=5)
    scene.started("held")
    assert held.revoke() is False
    assert held.state == "STARTED"
    scene.let("held")
    assert held.get(timeout=90) == 5
    assert held.state == "SUCCESS"
    scene.check()


def test_a_child_that_dies_does_not_acknowledge_what_was_revoked(scene):
    """celery/celery#10667."""
    scene.worker(1)
    killed = scene.send(tasks.kill_itself_once, str(scene.folder), 3, expect=3)
    revoked = scene.task(tasks.trace).delay(str(scene.folder), "revoked")
    was_revoked = revoked.revoke()
    assert killed.get(timeout=90) == 3
    wait_until(revoked.ready)
    # one that was claimed, and had to be given back by a slow machine, is revoked as well
    assert revoked.state == ("REVOKED" if was_revoked or "revoked" not in scene.notes() else "SUCCESS")
    assert ("revoked" in scene.notes()) is (revoked.state != "REVOKED")


def test_a_clock_that_is_read_twice_does_not_make_a_negative_wait(scene):
    """Timeouts that are over before they begin end at once, whatever they are."""
    result = scene.task(tasks.add).delay(1, 2)
    began = time.monotonic()
    for timeout in (1e-9, -1.0, -1e9):
        with pytest.raises(TaskTimeout):
            result.get(timeout=timeout)
    assert time.monotonic() - began < 30
