"""Commands and a broker: what cannot serve is told at the start, with what to do, and never with a password."""

from __future__ import annotations

import pytest

from tests.faults.server import free_port

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


def test_who_looks_is_told_of_a_broker_that_is_away_and_needs_no_address_of_it(shell):
    shell.write("app.py")
    shell.environ["TASKMESH_APP"] = "app.py"
    address = f"amqp://me:{SECRET}@127.0.0.1:{free_port()}/shop"
    shell.worker("-c", "1", "-n", "one", TASKMESH_BROKER=address)
    asked = [
        shell.run("status", "--json"),
        shell.run("top", "--json"),
        shell.run("inspect", "stats", "--json"),
    ]
    for look in asked[:2]:
        (broker,) = look.json["brokers"]
        assert (broker["broker"], broker["ok"]) == (address.replace(SECRET, "***"), False)
        assert [each["worker"] for each in broker["not_heard_by"]] == ["one"]
        assert "refused" in broker["not_heard_by"][0]["reason"]
    assert asked[2].json["one"]["broker"]["hears"] is False
    asked += [shell.run("status"), shell.run("inspect", "stats")]
    assert "not heard by 1 of 1 workers (one)" in " ".join(asked[-2].out.split())
    assert "not heard:" in asked[-1].out
    asked.append(shell.run("doctor", "--json"))
    (found,) = (check for check in asked[-1].json["checks"] if check["check"] == "broker")
    assert (found["level"], "it was not checked" in found["text"]) == ("warn", True)
    assert address.replace(SECRET, "***") in found["text"]
    assert not any(SECRET in look.out + look.err for look in asked)
