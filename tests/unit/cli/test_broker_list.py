"""What commands that look say of brokers: only what live workers tell with heartbeats that are not late."""

from __future__ import annotations

import pytest

from taskmesh.cli.broker_list import BrokerSeen, brokers_of
from taskmesh.client.inspect import Worker
from taskmesh.codec.report import BrokerReport, Report

NOW_MS = 1_000_000
AMQP = "amqp://me:***@host/shop"


def worker(
    name: str, broker: BrokerReport | None, *, state: str = "live", at_ms: int = NOW_MS - 500
) -> Worker:
    report = Report("1a" * 8, at_ms, 2.0, "process", 3.5, {}, 5_000, [], 0, broker)
    return Worker(name, "1a" * 8, state, {}, report, "")


def test_workers_without_a_broker_tell_of_none():
    silent = Worker("new", "2b" * 8, "live", {}, None, "it has not published anything yet")
    assert brokers_of([worker("one", None), silent], NOW_MS) == ()


def test_each_broker_is_told_with_who_hears_it_and_who_does_not():
    found = brokers_of(
        [
            worker("one", BrokerReport(AMQP, hears=True)),
            worker("two", BrokerReport(AMQP, hears=False, trouble=f"broker {AMQP} is away: refused")),
            worker("three", BrokerReport("other://x", hears=True)),
            worker("burst", BrokerReport(AMQP)),
        ],
        NOW_MS,
    )
    assert [each.address for each in found] == [AMQP, "other://x"]
    assert found[0].in_words() == (
        f"{AMQP}, heard by 1 worker; not heard by 1 of 2 workers (two): is away: refused"
    )
    assert found[0].as_json() == {
        "broker": AMQP,
        "ok": False,
        "heard_by": ["one"],
        "not_heard_by": [{"worker": "two", "reason": f"broker {AMQP} is away: refused"}],
        "not_known_of": ["burst"],
    }
    assert found[1].as_json()["ok"] is True
    assert found[1].trouble == ""


@pytest.mark.parametrize("hears", [True, False])
def test_what_was_said_long_ago_says_nothing_of_now(hears):
    """The broker is named all the same: somebody may want to look at it."""
    told = BrokerReport(AMQP, hears, "" if hears else "away")
    (found,) = brokers_of([worker("stopped", told, at_ms=NOW_MS - 6_001)], NOW_MS)
    assert found == BrokerSeen(AMQP, others=("stopped",))
    assert found.as_json()["ok"] is None
    assert found.in_words() == f"{AMQP}, no worker tells whether it is heard"
    assert brokers_of([worker("dead", told, state="dead")], NOW_MS) == ()


def test_of_many_workers_the_first_are_named():
    many = [worker(f"w{n}", BrokerReport(AMQP, hears=False, trouble=f"why {n % 2}")) for n in range(9)]
    (found,) = brokers_of(many, NOW_MS)
    assert found.trouble == "not heard by 9 of 9 workers (w0, w1, w2 and 6 more): why 0, and other reasons"
