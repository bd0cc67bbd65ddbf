"""What a worker hears over a line: what becomes of tickets that it did not look at, and of a line that is lost."""

from __future__ import annotations

import pytest

from taskmesh.broker import listener as module
from taskmesh.broker.listener import LineTickets
from tests.unit.broker.fake_line import FakeServer


@pytest.fixture
def server():
    return FakeServer()


@pytest.fixture
def tickets(server):
    tickets = LineTickets(server.line, ["mail"])
    yield tickets
    server.away = server.refuses = ""
    tickets.close()


def test_what_was_delivered_and_not_looked_at_goes_back_with_a_cancel(server, tickets):
    server.tickets = [("mail", 1), ("mail", 2), ("mail", 3)]
    tickets.consume(3)
    first = tickets.next(0)
    tickets.cancel()
    assert server.settled == [("put back", 2), ("put back", 3)]
    tickets.acknowledge(first)
    assert server.settled[2:] == [("acknowledged", 1)]


def test_a_ticket_of_a_line_that_was_lost_is_not_settled_on_another(server, tickets):
    """There its number may be that of a ticket which somebody else holds."""
    server.tickets = [("mail", 1)]
    tickets.consume(1)
    before = tickets.next(0)
    tickets.renew()
    server.tickets = [("mail", 1)]
    after = tickets.next(0)
    tickets.put_back(before)
    assert server.settled == []
    tickets.put_back(after)
    assert server.settled == [("put back", 1)]


def test_what_was_heard_on_a_line_that_is_lost_is_forgotten(server, tickets):
    server.tickets = [("mail", 1), ("mail", 2)]
    tickets.consume(2)
    assert tickets.next(0) is not None
    tickets.renew()
    assert tickets.next(0) is None


@pytest.mark.parametrize(("how", "waits"), [("away", [1.0, 2.0, 4.0, 4.0]), ("refuses", [9.0] * 4)])
def test_a_broker_that_is_away_is_left_alone_for_longer_each_time(server, tickets, monkeypatch, how, waits):
    now_s = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now_s)
    monkeypatch.setattr(module, "AGAIN_S_MAX", 4.0)
    monkeypatch.setattr(module, "REFUSED_AGAIN_S", 9.0)
    tickets._again_s = 1.0
    setattr(server, how, "it is out")
    tickets.consume(1)
    for connects, wait_s in enumerate(waits, 1):
        assert tickets.next(0) is None
        assert (server.connects, tickets.trouble) == (connects, "it is out")
        now_s += wait_s - 0.001
        assert tickets.next(0) is None
        assert server.connects == connects
        now_s += 0.002
    setattr(server, how, "")
    server.tickets = [("mail", 1)]
    assert tickets.next(0).queue == "mail"
    assert tickets.trouble == ""
