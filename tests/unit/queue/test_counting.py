"""Counting queues: all of them, and never many in one call."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from taskmesh.core import keys
from taskmesh.queue.manage import QUEUES_AT_ONCE, Status, status
from taskmesh.replication.ask import plain
from taskmesh.testing.simulated_driver import SimulatedProcess
from taskmesh.testing.simulated_network import SimulatedNetwork
from taskmesh.testing.simulated_node import SimulatedNode
from taskmesh.testing.virtual_time import VirtualTime

PREFIX = keys.prefix("test")


class Scene:
    """A node, and a process that runs protocols to their end."""

    def __init__(self) -> None:
        self.time = VirtualTime()
        self.process = SimulatedProcess("p", SimulatedNetwork(self.time, SimulatedNode(), Random(1)))
        self.session = self.process.session(PREFIX)

    def run(self, steps):
        results = []
        self.process.start(steps, results.append)
        self.time.pass_by(30)
        (result,) = results
        return result

    def command(self, word: bytes, key: bytes, *args: bytes) -> None:
        self.run(plain(self.session, word, PREFIX + key, *args))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_nothing_is_counted_where_nothing_is(scene):
    assert scene.run(status(scene.session)) == Status({}, 0, 0, 0, {}, [], {})


def test_all_that_is_known_of_a_queue_is_counted(scene):
    scene.command(b"SADD", b"queues", b"mail", b"empty")
    scene.command(b"RPUSH", b"q:mail:4", b"one:00000001", b"two:00000001")
    scene.command(b"RPUSH", b"q:mail:9", b"three:00000001")
    scene.command(b"ZADD", b"idle:mail", b"5", b"child")
    scene.command(b"ZADD", b"pidle:mail", b"5", b"other")
    scene.command(b"SADD", b"paused", b"mail")
    scene.command(b"SADD", b"blk:mail", b"four", b"five")
    scene.command(b"HSET", b"stats", b"mail:K", b"7", b"mail:D", b"2", b"other:K", b"9")
    counted = scene.run(status(scene.session))
    assert counted.queues == {"mail": 3, "empty": 0}
    assert counted.idle == {"mail": 2, "empty": 0}
    assert counted.paused == {"mail"}
    assert counted.blocked == {"mail": 2, "empty": 0}
    assert counted.stats == {("mail", "K"): 7, ("mail", "D"): 2}
    assert scene.run(status(scene.session, with_queues=False)) == replace(
        counted, queues={}, stats={}, idle={}, blocked={}
    )


def test_thousands_of_queues_are_counted_in_small_steps(scene):
    """One script that looks at all of them would hold the node, and everybody else, for a second."""
    names = [b"q%04d" % number for number in range(3 * QUEUES_AT_ONCE + 1)]
    scene.command(b"SADD", b"queues", *names)
    for name in names[:: QUEUES_AT_ONCE // 2]:
        scene.command(b"RPUSH", b"q:" + name + b":4", b"id:00000001")
    sizes = []

    def watched():
        steps = status(scene.session)
        request = next(steps)
        while True:
            sizes.extend(len(call.args) for call in request if call.script is not None)
            assert len(request) == 1
            try:
                request = steps.send((yield request))
            except StopIteration as stop:
                return stop.value

    counted = scene.run(watched())
    assert counted.queues.keys() == {name.decode() for name in names}
    assert sum(counted.queues.values()) == len(names[:: QUEUES_AT_ONCE // 2])
    assert max(sizes) <= QUEUES_AT_ONCE + 1
    assert len(sizes) == 5
