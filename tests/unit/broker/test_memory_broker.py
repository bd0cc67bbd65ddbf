"""A broker in this process: what callers announce, workers hear; what is not settled comes again."""

from __future__ import annotations

import gc
import time

import pytest

from taskmesh.broker.contract import TICKETS_MAX
from taskmesh.broker.named import make_broker
from taskmesh.errors import BrokerRefused
from tests.support import wait_until

#: For what comes in a moment; nobody waits for it in vain.
LONG_S = 90.0


@pytest.fixture
def broker(request):
    broker = make_broker("memory://", request.node.name)
    yield broker
    broker.close()


@pytest.fixture
def tickets(broker):
    tickets = broker.listen(["mail", "slow"])
    yield tickets
    tickets.close()


def waiting(broker, queue, count):
    return wait_until(lambda: broker.waiting(queue) == count)


def test_what_is_announced_is_heard(broker, tickets):
    tickets.consume(10)
    broker.announce("mail")
    broker.announce("slow", 2)
    heard = [tickets.next(LONG_S) for _ in range(3)]
    assert sorted(ticket.queue for ticket in heard) == ["mail", "slow", "slow"]
    for ticket in heard:
        tickets.acknowledge(ticket)
    assert tickets.next(0) is None
    assert tickets.trouble == ""


def test_a_queue_gets_so_many_tickets_at_most(broker):
    broker.announce("mail", 100_000)
    assert broker.flush(LONG_S)
    assert broker.waiting("mail") == TICKETS_MAX


def test_of_a_queue_that_nobody_made_no_tickets_wait(broker):
    assert broker.waiting("never") == 0


def test_nothing_is_taken_before_somebody_consumes(broker, tickets):
    broker.announce("mail")
    assert broker.flush(LONG_S)
    assert tickets.next(0) is None
    assert broker.waiting("mail") == 1


def test_no_more_tickets_are_out_than_were_asked_for(broker, tickets):
    broker.announce("mail", 5)
    assert broker.flush(LONG_S)
    tickets.consume(2)
    first = tickets.next(LONG_S)
    assert tickets.next(LONG_S) is not None
    assert tickets.next(0.01) is None
    tickets.acknowledge(first)
    assert tickets.next(LONG_S) is not None


def test_what_is_put_back_is_heard_again(broker, tickets):
    tickets.consume(1)
    broker.announce("mail")
    tickets.put_back(tickets.next(LONG_S))
    assert tickets.next(LONG_S).queue == "mail"


def test_who_cancels_gives_back_what_he_has_not_looked_at(broker, tickets):
    broker.announce("mail", 5)
    assert broker.flush(LONG_S)
    tickets.consume(4)
    taken = tickets.next(LONG_S)
    tickets.cancel()
    waiting(broker, "mail", 4)
    tickets.put_back(taken)
    waiting(broker, "mail", 5)
    assert tickets.next(0) is None


def test_one_that_is_never_used_keeps_no_files(broker):
    closing = broker.listen(["mail"])._close_pipe
    gc.collect()
    assert not closing.alive


def test_a_nudge_ends_a_wait(tickets):
    began_s = time.monotonic()
    tickets.nudge()
    assert tickets.next(300) is None
    tickets.consume(1)
    tickets.nudge()
    assert tickets.next(300) is None
    assert time.monotonic() - began_s < 100


def test_a_closed_broker_can_be_used_again(broker, tickets):
    broker.announce("mail")
    broker.close()
    assert broker.waiting("mail") == 1
    broker.announce("mail")
    assert broker.flush(LONG_S)
    assert broker.waiting("mail") == 2


@pytest.mark.parametrize("address", ["no.such.module:it", "taskmesh.broker.contract:nothing"])
def test_a_broker_that_cannot_be_imported_is_refused(address):
    with pytest.raises(BrokerRefused, match="must be able to import it"):
        make_broker(address, "shop")


def test_a_broker_of_somebody_else_is_made_of_its_whole_address(tmp_path, monkeypatch):
    (tmp_path / "their_brokers.py").write_text("def make(address, mesh):\n    return address, mesh\n")
    monkeypatch.syspath_prepend(tmp_path)
    address = "their_brokers:make?folder=x"
    assert make_broker(address, "shop") == (address, "shop")


def test_no_queue_of_one_mesh_is_one_of_another(request):
    """Dots may stand in the names of both."""
    name = request.node.name
    ours, theirs = make_broker("memory://", name), make_broker("memory://", f"{name}.b")
    ours.announce("b.mail")
    assert ours.flush(LONG_S)
    assert (ours.waiting("b.mail"), theirs.waiting("mail")) == (1, 0)
    tickets = theirs.listen(["mail"])
    tickets.consume(1)
    theirs.announce("mail")
    assert tickets.next(LONG_S).queue == "mail"
    tickets.close()
    for each in (ours, theirs):
        each.close()
