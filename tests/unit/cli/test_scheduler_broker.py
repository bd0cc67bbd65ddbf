"""A scheduler whose broker is away says so, once, and when it is back; its password is nobody's business."""

from __future__ import annotations

import logging

import pytest

from taskmesh import TaskMesh
from taskmesh.broker.contract import Broker
from taskmesh.cli.scheduler_broker import SchedulerBroker
from tests.faults.server import free_port
from tests.support import said_here, wait_until
from tests.ticket_broker import FileBroker


def of(address: str) -> SchedulerBroker:
    broker = TaskMesh("s", broker=address).broker
    assert broker is not None
    return SchedulerBroker(broker, "default", "clock")


def test_what_is_wrong_is_told_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    watch = of(f"amqp://user:hidden@127.0.0.1:{free_port()}/shop")
    watch.look()
    (said,) = (record.getMessage() for record in caplog.records if record.name == "taskmesh.scheduler")
    assert "connection refused" in said
    assert "scheduler clock goes on without it" in said
    assert "hidden" not in said
    assert "connection refused" in watch.remarks()[0]


def test_without_trouble_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    watch = of("memory://")
    watch.look()
    assert not watch.remarks()
    assert not said_here(caplog)


def test_each_change_is_told_once(tmp_path, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever stands by looks as well: it is not the leader alone who says that the broker is back."""
    caplog.set_level(logging.INFO)
    broker = FileBroker(f"files?{tmp_path}", "s")
    contract: Broker = broker
    with broker.in_trouble("away"):
        watch = SchedulerBroker(contract, "default", "clock", look_s=0.01).start()
        assert "nobody answers" in watch.trouble
        watch.look()
    wait_until(lambda: not watch.trouble, what="it is back")
    with broker.in_trouble("away"):
        wait_until(lambda: watch.trouble, what="it is away again")
    wait_until(lambda: not watch.trouble, what="it is back again")
    watch.stop()
    said = [record.getMessage() for record in caplog.records if record.name == "taskmesh.scheduler"]
    assert ["goes on without it" in each for each in said] == [True, False, True, False]
    assert said[1] == "broker files of s is back: scheduler clock sees which queues lack tickets"
