"""Who watches whom, and what is made of counters that stand still."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from taskmesh.queue.workers import WATCHED, WORKER, Beat
from taskmesh.testing.simulated_node import SimulatedNode
from taskmesh.worker.watch import Watch

PREFIX, EPOCH = b"tm:{m}:", b"000000000001"
LEASE_S, BEAT_S = 10.0, 2.0


class Fleet:
    """Workers that beat on a simulated node, but those that are dead."""

    def __init__(self, count: int, seed: int, many: int) -> None:
        self.node = SimulatedNode()
        self.node.call([b"SET", PREFIX + b"epoch", EPOCH])
        self.random = Random(seed)
        self.names = [b"%016x" % self.random.getrandbits(64) for _ in range(count)]
        self.watches = {name: Watch(LEASE_S, BEAT_S, many) for name in self.names}
        self.now_s = 0.0
        for name in self.names:
            self.ask(b"register", name, b"{}")

    def ask(self, *words: bytes):
        reply = self.node.eval(WORKER.source, [PREFIX], [EPOCH, b"0", *words])
        assert not hasattr(reply, "text"), reply
        return reply

    def look(self, name: bytes, many: int) -> list[Beat]:
        reply = self.ask(b"beat", name, b"0", b"", b"%d" % many)
        return [
            Beat(reply[at], int(reply[at + 1]), reply[at + 2].decode())
            for at in range(0, len(reply), 3)
            if reply[at] != name
        ]

    def turn(self, alive: list[bytes]) -> set[bytes]:
        """Have all that live beat once; bury whom they find dead, and return those."""
        self.now_s += BEAT_S
        buried = set()
        for name in alive:
            watch = self.watches[name]
            for beat in watch.read(self.look(name, watch.wanted), self.now_s):
                if self.ask(b"declare", beat.incarnation, b"%d" % beat.count):
                    self.ask(b"bury", beat.incarnation)
                    buried.add(beat.incarnation)
        return buried


@pytest.mark.parametrize("count", [1, 2, 5, 33, 34, 100])
def test_each_is_watched_by_as_many_as_it_watches(count: int) -> None:
    fleet = Fleet(count, seed=count, many=WATCHED)
    expected = min(WATCHED, count - 1)
    by: Counter[bytes] = Counter()
    for name in fleet.names:
        seen = [beat.incarnation for beat in fleet.look(name, WATCHED)]
        assert len(seen) == len(set(seen)) >= expected
        by.update(seen)
    assert all(by[name] >= expected for name in fleet.names)


def test_who_became_known_without_registering_is_watched() -> None:
    """As `promote.lua` makes workers known."""
    fleet = Fleet(2, seed=1, many=WATCHED)
    fleet.node.call([b"SADD", PREFIX + b"workers", b"%016x" % 7])
    fleet.node.call([b"HSET", PREFIX + b"w:%016x" % 7, b"state", b"live", b"beat", b"0"])
    assert b"%016x" % 7 in [beat.incarnation for beat in fleet.look(fleet.names[0], WATCHED)]


@pytest.mark.parametrize("left", [1, 3, 40])
def test_everyone_who_died_is_found_also_when_most_of_a_fleet_did(left: int) -> None:
    """Each watches few: nobody else is left to watch some; so those that are left look further."""
    fleet = Fleet(60, seed=left, many=2)
    for _ in range(2):
        assert fleet.turn(fleet.names) == set()
    alive, dead = fleet.names[:left], set(fleet.names[left:])
    for _ in range(40):
        dead -= fleet.turn(alive)
    assert dead == set()
    assert [watch.wanted for name, watch in fleet.watches.items() if name in alive] == [2] * left


def test_nobody_reads_more_than_wanted_while_all_is_well() -> None:
    fleet = Fleet(60, seed=5, many=2)
    for _ in range(10):
        assert fleet.turn(fleet.names) == set()
    assert {watch.wanted for watch in fleet.watches.values()} == {2}
    assert len(fleet.look(fleet.names[0], 2)) == 2
