"""Registers on acceptors that are models, a queue that knows ids, and processes of which each step can be the last."""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import count
from random import Random
from typing import Any

from taskmesh.consensus.chain import Chain
from taskmesh.consensus.founding import found
from taskmesh.consensus.listing import names
from taskmesh.consensus.registers import Operation, Registers
from taskmesh.consensus.value import Packing
from taskmesh.coordination.committing import Completed, Deliver, Delivered, Wanted, commit, complete
from taskmesh.coordination.file import File, Writing, read, write
from taskmesh.coordination.line import EXCLUSIVE, Entry, join, read_line, take
from taskmesh.coordination.means import AskGeneration, Means, Nap
from taskmesh.coordination.transaction import PART_SIZE, Doing, FileChange, Outgoing, Release
from taskmesh.coordination.transaction_sweep import KNOWN_MS, PREPARED_S_MAX, Swept, TransactionSweep
from taskmesh.core.steps import NoAnswer, Pause, Round
from tests.unit.consensus.acceptors import PREFIX, ModelAcceptor

PLACES = ["a", "b", "c"]
LOCK, REQUEST = "lock/x", b"request1"
IDS = ("m0", "m1", "m2")
Steps = Generator[Any, Any, Any]


class Died(Exception):
    """The process is no more."""


class Mesh:
    """All that processes share."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.chance = Random(1)
        self.acceptors = {place: ModelAcceptor(b"run-of-" + place.encode()) for place in PLACES}
        instances = (f"i{number}" for number in count(1))
        self.run(found(PREFIX, PLACES, lambda: next(instances), lambda _: ""))
        self.recorded: dict[str, int] = {}
        self.forgotten: set[str] = set()
        self.full: set[str] = set()
        self._seeds = count(1)

    def now_ms(self) -> int:
        return round(self.now_s * 1000)

    def process(self) -> Means:
        """Return what another process would have."""
        chain = Chain(PREFIX, Packing(bytes, bytes), PLACES)
        self.run(chain.current())
        chance = Random(next(self._seeds))
        registers = Registers(PREFIX, chain, Packing(bytes, bytes), chance, lambda: self.now_s)
        return Means(registers, lambda: Operation(chance.randbytes(12)), lambda: self.now_s, chance)

    # -- running ----------------------------------------------------------------------

    def perform(self, request: Any) -> list[Any]:
        if isinstance(request, Round):
            return [self.acceptors[call.node].call(call.script.name, call.args) for call in request.calls]
        if isinstance(request, Deliver):
            return [self._record(request)]
        if isinstance(request, (Pause, Nap)):
            self.now_s += request.seconds
        return [0] if isinstance(request, AskGeneration) else []

    def _record(self, request: Deliver) -> Delivered:
        ids = {message.task_id.decode() for message in request.messages}
        there = ids - self.full
        known = there & self.recorded.keys() - self.forgotten
        for each in there - known:
            self.recorded[each] = self.recorded.get(each, 0) + 1
        return Delivered(frozenset(there), frozenset(known), left=dict.fromkeys(ids & self.full, "OOM"))

    def run(self, steps: Steps, *, dies_at: int = -1, heard: bool = False) -> Any:
        """Have a conversation; at one step the process dies, before it is asked or after it was done."""
        replies = None
        try:
            for step in count():
                request = steps.send(replies)
                if step == dies_at:
                    if heard:
                        self.perform(request)
                    steps.close()
                    raise Died
                replies = self.perform(request)
        except StopIteration as stop:
            return stop.value

    def cut_off(self, steps: Steps, step: int) -> tuple[Any, int]:
        """Have a conversation which no acceptor answers from a step on; return what it returns, and its steps."""
        replies = None
        try:
            for at in count():
                request = steps.send(replies)
                is_cut = at >= step and isinstance(request, Round)
                replies = [NoAnswer("late")] * len(request.calls) if is_cut else self.perform(request)
        except StopIteration as stop:
            return stop.value, at
        raise AssertionError("it has no end")

    def interleave(self, chance: Random, *conversations: Steps) -> None:
        """Have conversations at once; of each step the order is drawn."""
        going: list[tuple[Steps, Any]] = [(steps, None) for steps in conversations]
        while going:
            steps, replies = going.pop(chance.randrange(len(going)))
            try:
                request = steps.send(replies)
            except StopIteration:
                continue
            going.append((steps, self.perform(request)))

    # -- what is done -----------------------------------------------------------------

    def lock(self) -> None:
        """Have a lock held."""
        means = self.process()
        for change in (join(LOCK, Entry(REQUEST, b"session", EXCLUSIVE, 0, "me"), 1), take(REQUEST, 1)):
            self.run(means.registers.change(LOCK, change, means.operation()))

    def write(self, path: str, data: bytes, **more: Any) -> File:
        return self.run(write(self.process(), Writing(path, data, **more)))

    def read(self, path: str) -> File | None:
        return self.run(read(self.process(), path))

    def is_locked(self) -> bool:
        means = self.process()
        return bool(read_line(self.run(means.registers.read(LOCK)).content).holders)

    def transactions(self) -> list[str]:
        return self.run(names(self.process().registers, "tx/"))

    def decides(self, means: Means, wanted: Wanted) -> Steps:
        """Decide and do; return whether that was heard."""
        yield from commit(means, wanted, self.now_ms)
        return (yield from complete(means, wanted.transaction, self.now_ms))

    def sweep(self) -> Callable[[], Swept]:
        """Return the look of a leader."""
        sweep, means = TransactionSweep(), self.process()
        return lambda: self.run(sweep.run(means, self.now_ms))

    def completes(self, transaction: str) -> Completed:
        return self.run(complete(self.process(), transaction, self.now_ms))

    def settle(self) -> None:
        """Have a leader look until there is nothing to do."""
        look = self.sweep()
        for _ in range(4):
            look()
            self.now_s += PREPARED_S_MAX

    def forget(self) -> None:
        """Have a leader look when all is old."""
        look = self.sweep()
        look()
        self.now_s += KNOWN_MS / 1000
        look()


def outgoing(task_id: str) -> Outgoing:
    return Outgoing(task_id.encode(), b"record", b"0000", b"default", b"4", b"", b"", b"", None)


def wanted(*, large: bool = False, attempt: bytes = b"attempt1", digest: bytes = b"same") -> Wanted:
    """Return a transaction of three messages, two files of which one is deleted, and a lock."""
    data = b"n" * (PART_SIZE + 1 if large else 1)
    doing = Doing(
        tuple(map(outgoing, IDS)),
        {},
        (FileChange("new", data), FileChange("old", b"after"), FileChange("gone", None)),
        (Release(LOCK, REQUEST),),
    )
    return Wanted("t", attempt, doing, digest)


def prepared() -> Mesh:
    """Return a mesh with two files, and a lock that is held."""
    mesh = Mesh()
    mesh.lock()
    mesh.write("old", b"before")
    mesh.write("gone", b"before")
    return mesh


def is_done(mesh: Mesh) -> bool:
    """Tell whether all is done, once; fails if only some of it is."""
    new, old, gone = mesh.read("new"), mesh.read("old"), mesh.read("gone")
    parts = {
        mesh.recorded == dict.fromkeys(IDS, 1),
        new is not None,
        old is not None and old.data == b"after",
        gone is None,
        not mesh.is_locked(),
    }
    assert len(parts) == 1, (mesh.recorded, new, old, gone, mesh.is_locked())
    (done,) = parts
    if not done:
        assert not mesh.recorded
    elif old is not None and new is not None:
        assert (old.generation, new.generation) == (2, 1)
    return done
