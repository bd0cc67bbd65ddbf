"""Commands and a broker: what cannot serve is told at the start, with what to do, and never with a password."""

from __future__ import annotations

import pytest

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("address", "says"),
    [
        (f"redis://:{SECRET}@localhost", "redis:// is refused as a broker"),
        (f"amqp://me:{SECRET}/x@localhost", "the port is wrong"),
        (f"amqp://me:{SECRET}@localhost?heartbet=3", "is heartbeat meant?"),
        (f"memory://me:{SECRET}@localhost", "reaches no other process"),
    ],
)
def test_a_broker_of_an_impossible_kind_is_wrong_usage(served, address, says):
    refused = served.run("worker", "app:mesh", "-b", address, code=2)
    assert says in refused.err
    assert SECRET not in refused.err


def test_a_worker_whose_broker_reaches_no_other_process_says_so(served):
    done = served.run("worker", "app:mesh", "-c", "1", "--burst", TASKMESH_BROKER="memory://")
    assert "memory://, which reaches no other process" in done.err


def test_a_worker_that_its_broker_refuses_does_not_start(served, rabbitmq, vhost):
    refused = served.run("worker", "app:mesh", "-b", rabbitmq.url(vhost, password=SECRET), code=1)
    assert refused.err.startswith("taskmesh worker: broker amqp://guest:***@127.0.0.1")
    assert "check user 'guest' and the password in the address" in refused.err
    assert SECRET not in refused.err


def test_no_password_is_shown_among_the_settings(served):
    broker = f"amqp://me:{SECRET}@host/shop"
    shown = served.run("config", "-A", "app:mesh", "--json", TASKMESH_BROKER=broker)
    assert "amqp://me:***@host/shop" in shown.out
    assert SECRET not in shown.out
