"""Tickets: idle children of one worker are given what is ready in a queue, by the real scripts on a simulated node."""

from __future__ import annotations

from random import Random

import pytest

from taskmesh.core import keys
from taskmesh.core.record import AT_MOST_ONCE, head_parts
from taskmesh.queue.claim import claim, handed_off
from taskmesh.queue.enqueue import NewMessage, enqueue, message_keys
from taskmesh.queue.manage import forget_queue, status
from taskmesh.queue.pause import pause, resume
from taskmesh.queue.ticket import GIVEN_MAX, Given, give
from taskmesh.queue.workers import declare_dead, reap, register
from taskmesh.replication.ask import plain
from taskmesh.testing.simulated_driver import SimulatedProcess
from taskmesh.testing.simulated_network import SimulatedNetwork
from taskmesh.testing.simulated_node import SimulatedNode
from taskmesh.testing.virtual_time import VirtualTime

PREFIX, EPOCH = keys.prefix("test"), b"000000010001"
OURS, OTHERS = b"aaaaaaaaaaaaaaaa", b"aaaaaaaaaaaaaaab"
NOTHING_LEFT, NOBODY_IDLE = Given(0, is_left=False, is_busy=False), Given(0, is_left=True, is_busy=True)


class Scene:
    """A node, two workers, and a process that runs protocols to their end."""

    def __init__(self) -> None:
        self.time = VirtualTime()
        self.process = SimulatedProcess("p", SimulatedNetwork(self.time, SimulatedNode(), Random(1)))
        self.session = self.process.session(PREFIX, epoch=EPOCH)
        self.command(b"SET", b"epoch", EPOCH)
        for worker in (OURS, OTHERS):
            self.run(register(self.session, worker, b"{}"))
        self.sequences: dict[bytes, int] = {}

    def run(self, steps):
        results = []
        self.process.start(steps, results.append)
        self.time.pass_by(30)
        (result,) = results
        return result

    def command(self, word: bytes, key: bytes, *args: bytes):
        return self.run(plain(self.session, word, PREFIX + key, *args))

    def send(
        self, *ids: bytes, priority: int = 4, flags: int = 0, size: int = 10, unique: bytes = b""
    ) -> None:
        for task_id in ids:
            start, middle, end, names = head_parts(
                state=b"P",
                queue=b"mail",
                channel=b"",
                function=b"",
                priority=priority,
                flags=flags,
                result_ttl_s=60,
            )
            now_ms = self.process.now_ms()
            record = start + b"0000" + middle + b"%012x%012x" % (now_ms, 0) + end + names + b"x" * size
            given = message_keys(unique=unique, until_started=True, task=b"00") if unique else None
            message = NewMessage(task_id, record, b"0000", b"mail", now_ms, b"%d" % priority, keys=given)
            assert self.run(enqueue(self.session, [message], {})).accepted

    def look(self, holder: bytes, *queues: bytes, most: int = 1, idle: bool = False):
        """Claim, as a child does; with nothing there it is idle."""
        self.sequences[holder] = self.sequences.get(holder, 0) + 1
        return self.run(
            claim(self.session, holder, self.sequences[holder], most, queues or (b"mail",), idle=idle)
        )

    def give(self, most: int = GIVEN_MAX, queue: str = "mail", worker: bytes = OURS) -> Given:
        return self.run(give(self.session, worker, queue, most))

    def woken(self, holder: bytes) -> list[bytes]:
        return self.command(b"LRANGE", b"wake:" + holder, b"0", b"-1")

    def handed(self, holder: bytes) -> bytes:
        (wake_up,) = self.woken(holder)
        found = handed_off(wake_up)
        assert found is not None
        assert found[0] == self.sequences[holder] + 1
        return found[1].task_id

    def state(self, task_id: bytes) -> bytes:
        return self.command(b"GETRANGE", b"r:" + task_id, b"1", b"1")


def child(number: int, worker: bytes = OURS, *, many: bool = False) -> bytes:
    return worker + b"%06x" % (number + keys.BY_TICKET + (keys.MANY_AT_ONCE if many else 0))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_the_node_wakes_no_child_that_waits_for_tickets(scene):
    scene.look(child(1))
    scene.send(b"one")
    assert scene.woken(child(1)) == []
    assert scene.state(b"one") == b"P"


def test_an_idle_child_is_handed_what_is_ready(scene):
    scene.look(child(1))
    scene.send(b"one")
    assert scene.give() == Given(1, is_left=False, is_busy=False)
    assert scene.handed(child(1)) == b"one"
    assert scene.state(b"one") == b"T"
    # should the wake-up be lost, the next claim is answered with it
    assert [found.task_id for found in scene.look(child(1), idle=True)] == [b"one"]


def test_where_nothing_is_ready_nobody_is_woken_and_everybody_stays_idle(scene):
    scene.look(child(1))
    assert scene.give() == NOTHING_LEFT
    assert scene.woken(child(1)) == []
    scene.send(b"one")
    assert scene.give().woken == 1


def test_another_workers_children_are_not_given_anything(scene):
    scene.look(child(1, OTHERS))
    scene.send(b"one")
    assert scene.give() == NOBODY_IDLE
    assert scene.state(b"one") == b"P"
    assert scene.give(worker=OTHERS).woken == 1


def test_one_ticket_gives_to_several_while_more_is_ready(scene):
    for number in range(3):
        scene.look(child(number))
    scene.send(*(b"m%d" % number for number in range(5)))
    assert scene.give(2) == Given(2, is_left=True, is_busy=False)
    assert scene.give() == Given(1, is_left=True, is_busy=True)
    assert [scene.handed(child(number)) for number in range(3)] == [b"m0", b"m1", b"m2"]


def test_what_is_urgent_goes_first_and_equals_in_their_order(scene):
    for number in range(3):
        scene.look(child(number))
    scene.send(b"late", b"later")
    scene.send(b"urgent", priority=9)
    scene.give()
    assert [scene.handed(child(number)) for number in range(3)] == [b"urgent", b"late", b"later"]


def test_a_paused_queue_gives_nothing_until_it_goes_on(scene):
    scene.run(pause(scene.session, "mail"))
    scene.look(child(1))
    scene.send(b"one")
    assert scene.give() == NOTHING_LEFT
    scene.run(resume(scene.session, "mail"))
    assert scene.give().woken == 1


def test_a_child_that_was_given_something_elsewhere_is_not_idle(scene):
    scene.look(child(1), b"mail", b"other")
    scene.send(b"one", b"two")
    scene.give(1)
    scene.command(b"ZADD", b"tidle:mail", b"0", child(1))
    assert scene.give() == Given(0, is_left=True, is_busy=True)


def test_a_child_of_many_is_given_nothing_while_a_wake_up_lies_there(scene):
    holder = child(1, many=True)
    scene.look(holder)
    scene.send(b"one", b"two")
    assert scene.give() == Given(1, is_left=True, is_busy=True)
    scene.command(b"DEL", b"wake:" + holder)
    scene.sequences[holder] += 1
    assert [found.task_id for found in scene.look(holder, idle=True)] == [b"two"]


def test_a_hint_whose_message_has_moved_on_is_passed_over(scene):
    scene.look(child(1))
    scene.send(b"gone", b"one")
    scene.command(b"DEL", b"r:gone")
    assert scene.give().woken == 1
    assert scene.handed(child(1)) == b"one"
    scene.look(child(2))
    scene.send(b"gone too")
    scene.command(b"DEL", b"r:gone too")
    assert scene.give() == NOTHING_LEFT
    scene.send(b"two")
    assert scene.give().woken == 1, "the child that was not needed is idle still"


def test_a_large_message_is_claimed_by_the_child_that_is_woken_for_it(scene):
    scene.look(child(1))
    scene.look(child(2))
    scene.send(b"large", size=100_000)
    scene.send(b"small")
    assert scene.give() == Given(1, is_left=False, is_busy=False)
    assert scene.woken(child(1)) == [b"1"]
    assert scene.woken(child(2)) == []
    found = scene.look(child(1), most=2, idle=True)
    assert [each.task_id for each in found] == [b"large", b"small"]


def test_a_message_that_may_begin_only_once_is_handed_over_where_there_is_one_node(scene):
    scene.look(child(1))
    scene.send(b"once", flags=AT_MOST_ONCE)
    scene.give()
    assert scene.handed(child(1)) == b"once"


def test_a_unique_key_that_holds_until_the_start_is_let_go_of(scene):
    scene.look(child(1))
    scene.send(b"one", unique=b"%032x" % 1)
    assert scene.command(b"HLEN", b"uq") == 1
    scene.give()
    assert scene.command(b"HLEN", b"uq") == scene.command(b"HLEN", b"us") == 0


def test_who_signs_off_or_is_dead_is_given_nothing(scene):
    scene.look(child(1))
    scene.look(child(1), most=0, idle=True)
    scene.look(child(2))
    scene.run(reap(scene.session, child(2), OURS, [b"mail"]))
    scene.send(b"one")
    assert scene.command(b"ZCARD", b"tidle:mail") == 0
    assert scene.give() == NOBODY_IDLE


def test_a_dead_workers_children_are_given_nothing(scene):
    scene.look(child(1))
    scene.run(declare_dead(scene.session, OURS, 1))
    scene.send(b"one")
    assert scene.give() == NOBODY_IDLE


def test_who_claims_something_is_idle_no_more(scene):
    scene.look(child(1))
    scene.send(b"one")
    assert scene.look(child(1), idle=True)
    assert scene.command(b"ZCARD", b"tidle:mail") == 0


def test_idle_ones_are_counted_and_keep_a_queue_listed(scene):
    scene.send(b"one")
    scene.look(child(1))
    scene.look(child(1), idle=True)
    scene.look(child(2, OTHERS))
    assert scene.run(status(scene.session)).idle == {"mail": 2}
    assert scene.run(forget_queue(scene.session, "mail")) == b"i"
