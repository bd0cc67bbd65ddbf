"""A node that never led anything, and is given the copies of one that did: what it rebuilds is what that one has."""

from __future__ import annotations

from typing import Any

import pytest

from taskmesh.core.record import parse
from taskmesh.core.script import Script
from taskmesh.core.state import FINAL, State
from taskmesh.queue.claim import ELSEWHERE, HELD, sequence_of
from taskmesh.queue.workers import REAP
from taskmesh.replication import scripts
from taskmesh.testing.node_commands.values import HashValue, SortedSet
from taskmesh.testing.simulated_node import SimulatedNode
from tests.simulation.ledger import PREFIX
from tests.simulation.world import World

EPOCH, TOKEN = b"x00000000002", b"1"
#: What stands on every replica, or does not belong to slots.
COPIED = (b"r:", b"L:", b"F:", b"fn", b"side", b"rv", b"tellings", b"parked", b"meta", b"x")
HISTORIES = ("everything", "keyed", "retries", "crashes", "parked", "older_disks")
MOMENTS = 6


def run(node: SimulatedNode, script: Script, now_ms: int, *args: bytes) -> Any:
    """Run a script of a leader, or of who makes the first view, on a node."""
    token = () if script is scripts.ADOPT else (TOKEN,)  # who makes the first view has none yet
    reply = node.eval(script.source, [PREFIX], [EPOCH, b"%d" % now_ms, *token, *args])
    assert not hasattr(reply, "text"), reply
    return reply


def in_steps(
    node: SimulatedNode, script: Script, now_ms: int, *args: bytes, rest: tuple[bytes, ...] = ()
) -> None:
    """Run a script over and over, with its cursor, until it has come round."""
    cursor = b"0"
    while True:
        cursor = run(node, script, now_ms, *args, cursor, *rest)
        if cursor == b"0":
            return


def copy_of(node: SimulatedNode, now_ms: int) -> SimulatedNode:
    """Return a node with the copies of another, and nothing else."""
    other = SimulatedNode("other")
    other.restore(node.snapshot())
    other.values[PREFIX + b"epoch"] = EPOCH
    in_steps(other, scripts.ADOPT, now_ms, rest=(b"50",))
    kept = tuple(PREFIX + name for name in COPIED)
    for key in list(other.values):
        if not key.startswith(kept) and key != PREFIX + b"epoch":
            del other.values[key]
    return other


def promote(node: SimulatedNode, now_ms: int) -> None:
    """Have the node lead all slots of which it has anything; each step twice, for an answer may be lost."""
    slots = {key[-4:] for key in node.values if key.startswith((PREFIX + b"L:", PREFIX + b"F:"))}
    for _ in range(2):
        for which in (b"gate", b"ikid"):
            in_steps(node, scripts.PROMOTE_KEYS, now_ms, b"0" * 1024, which)
        for slot in sorted(slots):
            for kind in scripts.SETS:
                in_steps(node, scripts.PROMOTE, now_ms, slot, kind, rest=(b"50",))
    while run(node, scripts.PROMOTE_LINES, now_ms, b"7"):
        pass


class Looks:
    """The indexes of a node, without what scripts drop when they meet it."""

    def __init__(self, node: SimulatedNode, now_ms: int) -> None:
        self.values, self.now_ms = node.values, now_ms
        begin = PREFIX + b"r:"
        self.records = {
            key.removeprefix(begin): parse(value)
            for key, value in node.values.items()
            if key.startswith(begin) and isinstance(value, bytes)
        }

    def is_valid(self, hint: bytes, *states: State) -> bool:
        """Tell whether a hint is of the record as it stands."""
        record = self.records.get(hint[:-9])
        return record is not None and record.state in states and record.version == int(hint[-8:], 36)

    def hash(self, name: bytes) -> dict[bytes, bytes]:
        """Return a hash."""
        value = self.values.get(PREFIX + name, HashValue())
        assert isinstance(value, dict)
        return dict(value)

    def scores(self, name: bytes) -> dict[bytes, float]:
        """Return a sorted set."""
        value = self.values.get(PREFIX + name)
        return dict(value.scores) if isinstance(value, SortedSet) else {}

    def named(self, kind: bytes) -> list[bytes]:
        """Return the names of all keys of a kind."""
        return [key.removeprefix(PREFIX) for key in self.values if key.startswith(PREFIX + kind)]

    def lines(self) -> dict[bytes, list[bytes]]:
        """Return each line's valid hints, the oldest first."""
        found = {}
        for name in self.named(b"q:"):
            hints = [hint for hint in self.values[PREFIX + name] if self.is_valid(hint, State.PENDING)]  # type: ignore[union-attr,arg-type]
            if hints:
                found[name] = sorted(hints, key=lambda hint: (self.records[hint[:-9]].created_ms, hint))
        return found

    def delayed(self) -> dict[bytes, float]:
        """Return what is due when."""
        valid = (State.SCHEDULED, State.RETRY)
        return {hint: due for hint, due in self.scores(b"d").items() if self.is_valid(hint, *valid)}

    def running(self) -> dict[bytes, set[bytes]]:
        """Return what each holder runs."""
        found: dict[bytes, set[bytes]] = {}
        for name in self.named(b"run:"):
            holder = name.removeprefix(b"run:")
            for field, ids in self.hash(name).items():
                for task_id in ids.split(b"\n"):
                    record = self.records.get(task_id)
                    lease = (holder + field[-8:]).decode()
                    if record is not None and record.state is State.STARTED and record.token[20:] == lease:
                        found.setdefault(holder, set()).add(task_id)
        return found

    def unique(self) -> dict[bytes, bytes]:
        """Return who holds which key, where its time is not over."""
        return {digest: held for digest, held in self.hash(b"uq").items() if int(held[:12], 16) > self.now_ms}

    def waiting_for_start(self) -> dict[bytes, bytes]:
        """Return who lets go of which key when it is claimed."""
        unique = self.unique()
        return {
            task_id: digest
            for task_id, digest in self.hash(b"us").items()
            if unique.get(digest, b"")[12:] == task_id
        }

    def all(self) -> dict[str, Any]:
        """Return everything that is to be the same."""
        return {
            "lines": self.lines(),
            "delayed": self.delayed(),
            "running": self.running(),
            "unique": self.unique(),
            "us": self.waiting_for_start(),
            "ik": self.hash(b"ik"),
            "ikid": self.hash(b"ikid"),
            "gate": self.hash(b"gate"),
            "sequences": {name: self.scores(name) for name in self.named(b"sq:")},
            "blocked": {name: set(self.values[PREFIX + name]) for name in self.named(b"blk:")},  # type: ignore[arg-type]
            "dead": self.scores(b"dead"),
        }

    def expiring(self) -> dict[bytes, float]:
        """Return until when those may begin that wait."""
        return {
            task_id: moment
            for task_id, moment in self.scores(b"e").items()
            if task_id in self.records and self.records[task_id].state not in FINAL | {State.STARTED}
        }


def check_claims(node: SimulatedNode, looks: Looks, now_ms: int) -> None:
    """What runs is told to its holder, who is known, and goes back in line when that one is dead."""
    front = [EPOCH, b"%d" % now_ms]
    for holder, ids in looks.running().items():
        worker = looks.hash(b"w:" + holder[:16])
        assert worker[b"state"] == b"live"
        assert b"s" + holder[16:] in worker
        assert holder[:16] in node.values[PREFIX + b"workers"]  # type: ignore[operator]
        told = node.eval(HELD.source, [PREFIX], [*front, holder])
        assert {told[at + 2] for at in range(0, len(told), 4)} == ids  # type: ignore[index,arg-type]
        assert all(sequence_of(told[at]) >= ELSEWHERE for at in range(0, len(told), 4))  # type: ignore[index,arg-type]
        reaping = [holder, holder[:16], b"", b"", b"", b"0", b"3600", b"D", b"0"]
        node.eval(REAP.source, [PREFIX], [*front, *reaping])
        assert node.call([b"EXISTS", PREFIX + b"run:" + holder]) == 0
    after = Looks(node, now_ms)
    assert after.running() == {}
    lined_up = {hint[:-9] for hints in after.lines().values() for hint in hints}
    ran = {task_id for ids in looks.running().values() for task_id in ids}
    assert {task_id for task_id in ran if after.records[task_id].state is State.PENDING} <= lined_up
    assert all(after.records[task_id].state is not State.STARTED for task_id in ran)


@pytest.mark.parametrize("history", HISTORIES)
def test_a_promoted_copy_has_the_indexes_of_the_node_that_made_them(history: str) -> None:
    """In the middle of all kinds of trouble; every step made twice."""
    found: set[str] = set()
    for seed in range(6):
        world = World(history, 7000 + seed)
        for _ in range(world.rates.workers):
            world.hire()
        for client in world.clients:
            client.begin()
        world.time.pass_by(0.2)
        world.network.faults = world.rates.network
        world.nemesis.begin()
        for _ in range(MOMENTS):
            world.time.pass_by(world.rates.fault_s / MOMENTS)
            if not world.node.running:
                continue
            now_ms = world.clients[0].process.now_ms()
            before = Looks(world.node, now_ms)
            other = copy_of(world.node, now_ms)
            promote(other, now_ms)
            after = Looks(other, now_ms)
            assert after.all() == before.all()
            assert set(after.named(b"blk:")) >= set(before.named(b"blk:"))
            # of what has run once it may be forgotten: a worker looks at the time again
            assert after.expiring().items() >= before.expiring().items()
            waiting = {name.split(b":")[1] for name in after.lines()}
            assert waiting <= set(other.values.get(PREFIX + b"queues", ()))  # type: ignore[arg-type]
            found |= {name for name, value in after.all().items() if value}
            check_claims(other, after, now_ms)
    wanted = {"keyed": {"unique", "sequences", "blocked", "ik", "gate", "us"}, "retries": {"delayed"}}
    assert found >= {"lines", "running"} | wanted.get(history, set())
