"""What `taskmesh scheduler` says of its broker when it starts."""

from __future__ import annotations

from taskmesh.app import TaskMesh
from taskmesh.cli.scheduler import check_broker
from tests.faults.server import free_port


def test_a_broker_that_is_away_is_told_at_once(caplog):
    check_broker(TaskMesh("s", broker=f"amqp://user:hidden@127.0.0.1:{free_port()}/shop").broker, "clock")
    (said,) = caplog.messages
    assert "connection refused" in said
    assert "scheduler clock begins without it" in said
    assert "hidden" not in said


def test_without_a_broker_or_with_one_that_answers_nothing_is_said(caplog):
    check_broker(TaskMesh("s").broker, "clock")
    check_broker(TaskMesh("s", broker="memory://").broker, "clock")
    assert caplog.messages == []
