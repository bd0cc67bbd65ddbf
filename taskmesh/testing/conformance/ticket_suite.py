"""What a broker has to keep of the contract itself (`taskmesh.broker.contract`), asked of it within one process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import count

import pytest

from taskmesh.broker.contract import TICKETS_MAX, Broker, Tickets
from taskmesh.broker.named import make_broker
from taskmesh.testing.conformance.stage import eventually

#: How long to listen for what should not come.
SILENCE_S = 0.3
HEAR_S = 60.0
#: For how long to listen where the wait is ended by a nudge.
WAIT_S = 300.0
_numbers = count(1)

Listen = Callable[..., Tickets]


def heard(tickets: Tickets, count: int = 1) -> list[str]:
    """Wait for so many tickets, acknowledge each, and return their queues."""
    found = []
    for _ in range(count):
        ticket = eventually(lambda: tickets.next(HEAR_S), "a ticket comes")
        tickets.acknowledge(ticket)
        found.append(ticket.queue)
    return found


class TicketsConformance:
    """Derive from it, name the class `Test...`, and override `broker`; `interruption`, too, if yours can be cut off."""

    @pytest.fixture(scope="class")
    @classmethod
    def broker(cls) -> str:
        """Return the address of the broker, as the setting `broker` takes it."""
        raise NotImplementedError("override the fixture `broker`: return the address of yours")

    @pytest.fixture(scope="class")
    @classmethod
    def interruption(cls) -> Callable[[], AbstractContextManager[object]] | None:
        """Return what makes a block for whose length the broker is away; None if nothing can."""
        return None

    @pytest.fixture(scope="class")
    @classmethod
    def caller(cls, broker: str) -> Iterator[Broker]:
        """Return the broker as a process has it that sends."""
        made = make_broker(broker, f"conformance{os.getpid()}")
        yield made
        made.close()

    @pytest.fixture
    def listen(self, broker: str) -> Iterator[Listen]:
        """Return what listens to queues, as another process would."""
        made: list[Broker | Tickets] = []

        def listen(*queues: str) -> Tickets:
            listener = make_broker(broker, f"conformance{os.getpid()}")
            tickets = listener.listen(queues)
            assert tickets is not None, "nodes wake its workers: there is nothing to ask of it"
            made.extend((tickets, listener))
            return tickets

        yield listen
        for each in made:
            each.close()

    @pytest.fixture
    def queue(self) -> str:
        """Return the name of a queue that nobody has used."""
        return f"queue{next(_numbers)}"

    def test_it_can_be_reached(self, caller: Broker, queue: str) -> None:
        caller.check([queue])
        assert caller.shown
        eventually(lambda: caller.waiting(queue) == 0, "nothing waits")

    def test_what_is_announced_is_heard(self, caller: Broker, listen: Listen, queue: str) -> None:
        tickets = listen(queue)
        tickets.consume(1)
        caller.announce(queue)
        assert heard(tickets) == [queue]
        assert tickets.trouble == ""
        assert tickets.next(SILENCE_S) is None

    def test_tickets_wait_for_those_who_come_late(self, caller: Broker, listen: Listen, queue: str) -> None:
        """However many messages were recorded, so many tickets tell of them that nobody need count them."""
        caller.announce(queue, 100_000)
        assert caller.flush(HEAR_S)
        eventually(lambda: caller.waiting(queue), "tickets wait")
        tickets = listen(queue)
        tickets.consume(4)
        found: list[str] = []

        def none_is_left() -> bool:
            ticket = tickets.next(SILENCE_S)
            if ticket is not None:
                tickets.acknowledge(ticket)
                found.append(ticket.queue)
            # a broker may count what it has a moment late
            return ticket is None and caller.waiting(queue) == 0

        eventually(none_is_left, "none is left")
        assert 1 <= len(found) <= TICKETS_MAX
        assert set(found) == {queue}

    def test_only_its_queues_are_heard(self, caller: Broker, listen: Listen, queue: str) -> None:
        tickets = listen(f"{queue}a", f"{queue}b")
        tickets.consume(3)
        for each in "abc":
            caller.announce(f"{queue}{each}")
        assert sorted(heard(tickets, 2)) == [f"{queue}a", f"{queue}b"]
        assert tickets.next(SILENCE_S) is None
        eventually(lambda: caller.waiting(f"{queue}c") == 1, "the third waits")

    def test_no_more_are_out_than_were_asked_for(self, caller: Broker, listen: Listen, queue: str) -> None:
        caller.announce(queue, 3)
        tickets = listen(queue)
        tickets.consume(2)
        out = [eventually(lambda: tickets.next(HEAR_S), "a ticket comes") for _ in range(2)]
        assert tickets.next(SILENCE_S) is None
        tickets.acknowledge(out[0])
        assert heard(tickets) == [queue]
        tickets.acknowledge(out[1])

    def test_what_is_put_back_is_heard_by_another(self, caller: Broker, listen: Listen, queue: str) -> None:
        first, second = listen(queue), listen(queue)
        caller.announce(queue)
        first.consume(1)
        ticket = eventually(lambda: first.next(HEAR_S), "a ticket comes")
        first.cancel()
        second.consume(1)
        assert second.next(SILENCE_S) is None, "it is out already"
        first.put_back(ticket)
        assert heard(second) == [queue]

    def test_who_cancels_holds_nothing(self, caller: Broker, listen: Listen, queue: str) -> None:
        """What was delivered and not taken yet goes to others; and it may begin again."""
        first, second = listen(queue), listen(queue)
        caller.announce(queue, 3)
        first.consume(3)
        taken = eventually(lambda: first.next(HEAR_S), "a ticket comes")
        first.cancel()
        assert first.next(0) is None
        second.consume(3)
        assert heard(second, 2) == [queue, queue]
        first.acknowledge(taken)
        second.cancel()
        first.consume(1)
        caller.announce(queue)
        assert heard(first) == [queue]

    def test_who_closes_gives_back_what_is_not_settled(
        self, caller: Broker, listen: Listen, queue: str
    ) -> None:
        first, second = listen(queue), listen(queue)
        caller.announce(queue, 2)
        first.consume(2)
        for _ in range(2):
            eventually(lambda: first.next(HEAR_S), "a ticket comes")
        first.close()
        second.consume(2)
        assert heard(second, 2) == [queue, queue]

    def test_a_nudge_ends_the_wait(self, listen: Listen, queue: str) -> None:
        tickets = listen(queue)
        tickets.consume(1)
        timer = threading.Timer(0.1, tickets.nudge)
        timer.start()
        began_s = time.monotonic()
        eventually(lambda: tickets.next(WAIT_S) is None, "it returns")
        assert time.monotonic() - began_s < WAIT_S / 2
        timer.join()

    def test_a_connection_made_anew_goes_on(self, caller: Broker, listen: Listen, queue: str) -> None:
        tickets = listen(queue)
        tickets.consume(1)
        caller.announce(queue)
        eventually(lambda: tickets.next(HEAR_S), "a ticket comes")
        tickets.renew()
        assert heard(tickets) == [queue], "what was not settled comes again"

    def test_all_goes_on_when_it_is_back(
        self,
        caller: Broker,
        listen: Listen,
        queue: str,
        interruption: Callable[[], AbstractContextManager[object]] | None,
    ) -> None:
        """What is announced meanwhile is heard afterwards, and the one who listens need do nothing for that."""
        if interruption is None:
            pytest.skip("this broker cannot be interrupted by its tests")
        tickets = listen(queue)
        tickets.consume(2)
        caller.announce(queue)
        assert heard(tickets) == [queue]
        with interruption():
            caller.announce(queue)
            assert not caller.flush(SILENCE_S)
            eventually(lambda: tickets.next(SILENCE_S) is None and tickets.trouble, "it says that it is away")
            assert caller.waiting(queue) is None
        assert heard(tickets) == [queue]
        assert caller.flush(HEAR_S)
        assert tickets.trouble == ""
        eventually(lambda: caller.waiting(queue) == 0, "tickets can be counted again")
