"""Counting tickets: a broker that is away is asked now and then, one that closed an idle line at once again."""

from __future__ import annotations

import logging

import pytest

from taskmesh.broker import over_lines as module
from taskmesh.broker.over_lines import LineBroker
from taskmesh.errors import BrokerUnavailable
from tests.support import said_here
from tests.unit.broker.fake_line import FakeServer


@pytest.fixture
def server():
    server = FakeServer()
    server.waiting = {"mail": 3}
    return server


@pytest.fixture
def broker(server):
    broker = LineBroker(server.line, "fake://")
    yield broker
    broker.close()


def test_tickets_are_counted(broker):
    assert (broker.waiting("mail"), broker.waiting("none")) == (3, 0)


def test_a_line_that_was_closed_for_want_of_use_is_made_anew(server, broker, monkeypatch):
    broker.waiting("mail")
    failures = iter([BrokerUnavailable("it closed the line", broker="fake://")])

    def closed_at_first():
        for failure in failures:
            raise failure

    monkeypatch.setattr(server, "check", closed_at_first)
    assert broker.waiting("mail") == 3


def test_a_broker_that_is_away_is_asked_now_and_then(server, broker, monkeypatch, caplog):
    """A worker's ear and a scheduler's look say that it is away: who counts says nothing besides."""
    now_s = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now_s)
    server.away = "it is out"
    assert broker.waiting("mail") is None
    assert (broker.waiting("mail"), server.connects) == (None, 1)
    now_s += module.COUNT_AGAIN_S
    assert (broker.waiting("mail"), server.connects) == (None, 2)
    assert [each for each in said_here(caplog) if each.levelno >= logging.WARNING] == []
    server.away = ""
    now_s += module.COUNT_AGAIN_S
    assert broker.waiting("mail") == 3
