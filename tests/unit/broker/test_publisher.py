"""Announcing never waits: a thread sends, makes one round of what came meanwhile, and goes on when a broker is back."""

from __future__ import annotations

import logging
import os
import threading
import time

import pytest

from taskmesh.broker import publisher as module
from taskmesh.broker.contract import TICKETS_MAX
from taskmesh.broker.publisher import Publisher
from tests.support import no_more_threads, wait_until
from tests.unit.broker.fake_line import FakeLine, FakeServer


@pytest.fixture
def server():
    return FakeServer()


@pytest.fixture
def publisher(server):
    publisher = Publisher(server.line, "fake://")
    yield publisher
    server.open.set()
    server.away = server.refuses = ""
    publisher.close(0)


def warnings(caplog):
    said = [record for record in caplog.records if record.name == "taskmesh.broker"]
    return [record.message for record in said if record.levelno == logging.WARNING]


def test_nothing_is_started_before_somebody_announces(server, publisher):
    assert publisher._thread is None
    assert publisher.flush(0)
    assert server.lines == 0


def test_where_no_thread_can_be_started_a_call_does_not_fail(server, publisher, caplog):
    with no_more_threads():
        publisher.announce("a", 1)
        publisher.announce("a", 1)
    assert not publisher.flush(0)
    (warning,) = warnings(caplog)
    assert "can't start new thread" in warning
    publisher.announce("b", 1)
    assert publisher.flush(90)
    assert server.rounds == [{"a": 2, "b": 1}]


def test_what_comes_meanwhile_goes_together(server, publisher):
    server.open.clear()
    publisher.announce("a", 1)
    assert server.entered.wait(90)
    for _ in range(10):
        publisher.announce("a", 1)
        publisher.announce("b", 2)
    publisher.announce("c", 5_000)
    server.open.set()
    assert publisher.flush(90)
    assert server.rounds == [{"a": 1}, {"a": 10, "b": 20, "c": TICKETS_MAX}]


def test_a_broker_that_stands_still_holds_nobody_up(server, publisher):
    server.open.clear()
    publisher.announce("a", 1)
    assert server.entered.wait(90)
    began_s = time.monotonic()
    for _ in range(1000):
        publisher.announce("a", 1)
    assert time.monotonic() - began_s < 30
    assert not publisher.flush(0)


@pytest.mark.parametrize("how", ["away", "refuses"])
def test_a_broker_that_is_away_is_told_once_and_what_was_announced_waits(
    server, publisher, caplog, monkeypatch, how
):
    monkeypatch.setattr(module, "AGAIN_S", 0.001)
    monkeypatch.setattr(module, "AGAIN_S_MAX", 0.001)
    monkeypatch.setattr(module, "REFUSED_AGAIN_S", 0.001)
    caplog.set_level(logging.INFO, "taskmesh.broker")
    setattr(server, how, "it is out")
    for _ in range(3):
        publisher.announce("a", 20)
        wait_until(lambda: publisher.trouble)
    assert publisher.trouble == "it is out"
    setattr(server, how, "")
    assert publisher.flush(90)
    assert server.rounds == [{"a": TICKETS_MAX}]
    assert len(warnings(caplog)) == 1
    assert "recorded all the same" in warnings(caplog)[0]
    assert warnings(caplog)[0].endswith("Trying again: it is out")
    wait_until(lambda: "is told of work again" in caplog.text)
    assert publisher.trouble == ""


def test_what_is_unsent_at_the_end_is_said_at_once_if_the_broker_is_known_to_be_away(
    server, publisher, caplog
):
    server.away = "it is out"
    publisher.announce("a", 1)
    wait_until(lambda: publisher.trouble)
    began_s = time.monotonic()
    publisher.close(60)
    assert time.monotonic() - began_s < 30
    begun, ended = warnings(caplog)
    assert begun.endswith("Trying again: it is out")
    assert "was not told of work in a; the leader will see it there" in ended


def test_what_is_unsent_at_the_end_is_said_with_the_reason_where_that_is_another_than_was_told(
    server, publisher, caplog, monkeypatch
):
    monkeypatch.setattr(module, "AGAIN_S", 0.001)
    monkeypatch.setattr(module, "AGAIN_S_MAX", 0.001)
    server.away = "it is out"
    publisher.announce("a", 1)
    wait_until(lambda: publisher.trouble)
    server.away = "it is full"
    wait_until(lambda: publisher.trouble == "it is full")
    publisher.close(60)
    assert "was not told of work in a (it is full); the leader will see it there" in caplog.text


def test_a_closed_one_can_be_used_again_though_its_first_thread_hangs(server, publisher):
    server.open.clear()
    publisher.announce("a", 1)
    assert server.entered.wait(90)
    hangs = publisher._thread
    publisher.close(0)
    publisher.announce("b", 1)
    server.open.set()
    assert publisher.flush(90)
    wait_until(lambda: not hangs.is_alive())
    assert {"b": 1} in server.rounds
    assert server.lines == 2


def test_the_end_of_one_that_hung_is_not_the_end_of_what_its_successor_sends(server, publisher, monkeypatch):
    first, second = threading.Event(), threading.Event()
    gates = iter([first, second])
    entered = []

    class Gated(FakeLine):
        def publish(self, counts):
            gate = next(gates)
            entered.append(gate)
            assert gate.wait(90)
            super().publish(counts)

    monkeypatch.setattr(publisher, "_make_line", lambda: Gated(server))
    publisher.announce("a", 1)
    wait_until(lambda: first in entered)
    hangs = publisher._thread
    publisher.close(0)
    publisher.announce("b", 1)
    wait_until(lambda: second in entered)
    first.set()
    wait_until(lambda: not hangs.is_alive())
    assert not publisher.flush(0)
    second.set()
    assert publisher.flush(90)
    assert server.rounds == [{"a": 1}, {"b": 1}]


def test_an_error_that_nobody_expected_does_not_end_the_thread(server, publisher, caplog, monkeypatch):
    monkeypatch.setattr(module, "AGAIN_S_MAX", 0.001)
    server.rounds = None
    publisher.announce("a", 1)
    wait_until(lambda: "announcing to broker fake:// failed" in caplog.text)
    server.rounds = []
    assert publisher.flush(90)
    assert server.rounds == [{"a": 1}]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_leaves_its_parents_connection_alone_and_makes_its_own(server, publisher):
    publisher.announce("a", 1)
    assert publisher.flush(90)
    line = publisher._line
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            publisher.announce("b", 1)
            done = publisher.flush(90)
            told = repr((done, line.abandoned, publisher._line is not line, server.rounds[-1]))
            os.write(write, told.encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as told:
        assert told.read() == "(True, True, True, {'b': 1})"
    os.waitpid(pid, 0)
    assert not line.abandoned
    publisher.announce("c", 1)
    assert publisher.flush(90)
    assert server.rounds == [{"a": 1}, {"c": 1}]
