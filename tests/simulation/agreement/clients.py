"""Processes that change registers, each with the real `Registers`, and what they ask."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from taskmesh.consensus.chain import Chain
from taskmesh.consensus.founding import found
from taskmesh.consensus.listing import names
from taskmesh.consensus.registers import (
    Change,
    Changed,
    Delete,
    Keep,
    Operation,
    Refuse,
    Registers,
    Verdict,
    Versioned,
    Write,
)
from taskmesh.core.steps import Pause
from taskmesh.errors import ChangeRejected, ChangeUnknown, NoMajority, VersionConflict
from tests.simulation.agreement.history import REJECTED, UNKNOWN, Asked
from tests.simulation.agreement.servers import PREFIX

if TYPE_CHECKING:
    from tests.simulation.agreement.world import Task, World

PATIENCE_S = 1.5
Steps = Generator[Any, Any, Any]


class Process:
    """One process: it may die and be followed by another, or stop for a while.

    Attributes:
        name: Other for each that follows.
        alive, paused: How it is.
        tasks: Its conversations.
        waiting: What happened to it while it was stopped.
        registers: Its way to the registers.
        speed: Of its clock: 1 is right.
    """

    speed = 1.0

    def __init__(self, world: World, index: int, name: str = "") -> None:
        self.world = world
        self.index = index
        self.name = name or f"p{index}"
        self.alive = True
        self.paused = False
        self.tasks: list[Task] = []
        self.waiting: list[tuple[Callable[[Any], None], Any]] = []
        self.clients: list[Client] = []
        chain = Chain(PREFIX, world.packing, list(world.addresses))
        self.registers = Registers(
            PREFIX, chain, world.packing, world.random, lambda: world.now_s, patience_s=PATIENCE_S
        )

    def begin(self) -> None:
        """Start a client for each register."""
        self.clients = [Client(self, name) for name in self.world.names]
        for client in self.clients:
            self.world.start(self, f"{self.name} {client.register}", client.work(self.world.rates.changes))

    def finish(self) -> None:
        """Have each client make a last change and a last read, when what it was doing is done."""
        for client in self.clients:
            self.world.start(self, f"{self.name} {client.register} at last", client.last())

    def die(self) -> None:
        """Die here and now."""
        self.alive = False
        self.world.kill(self)

    def reborn(self) -> Process:
        """Begin again, as another process, which knows nothing."""
        follower = type(self)(self.world, self.index, f"{self.name}'")
        self.world.processes[self.index] = follower
        follower.begin()
        return follower

    def resume(self) -> None:
        """Go on after a stop: everything that happened meanwhile happens now."""
        self.paused = False
        waiting, self.waiting = self.waiting, []
        for action, given in waiting:
            self.world.after(0.0, action, given)


class Client:
    """Changes one register, one change after the other."""

    def __init__(self, process: Process, register: str) -> None:
        self.process = process
        self.world = process.world
        self.register = register
        self.count = 0
        self.working = False
        self.sticky = self.world.random.random() < self.world.rates.sticky

    def work(self, changes: int) -> Steps:
        """Ask for so many things."""
        self.working = True
        random = self.world.random.random
        if self.world.rates.founded:
            yield from self._found()
        for _ in range(changes):
            kind = random()
            if kind < 0.45:
                yield from self.append()
            elif kind < 0.55:
                yield from self.append(after_reading=True)
            elif kind < 0.65:
                yield from self.delete()
            elif kind < 0.72:
                yield from self.look()
            elif kind < 0.77:
                yield from self.list()
            else:
                yield from self.read()
            if random() < 0.3:
                yield Pause(random() * 0.2)
        self.working = False

    def last(self) -> Steps:
        """Change and read once more: this must work."""
        while self.working:
            yield Pause(0.05)
        yield from self.append(until_done=True)
        yield from self.read(until_done=True)

    def _found(self) -> Steps:
        world = self.world
        while True:
            try:
                yield from found(PREFIX, world.addresses, world.new_instance, lambda _: "")
            except NoMajority:
                yield Pause(0.05)
            else:
                return

    # -- what it asks -------------------------------------------------------------------

    def _ask(self, kind: str) -> Asked:
        self.count += 1
        word = f"{kind[0]}{self.process.name}.{self.count}".encode()
        return self.world.history.ask(self.process.name, self.register, kind, word, self.world.now_s)

    def append(self, *, after_reading: bool = False, until_done: bool = False) -> Steps:
        """Append a word, by a change or by reading and comparing."""
        asked = self._ask("append")
        word = b" " + asked.word
        if after_reading:
            try:
                seen: Versioned = yield from self.process.registers.read(self.register)
            except NoMajority:
                asked.end = REJECTED
                return

            def compare(found: Versioned) -> Verdict:
                if found.version != seen.version:
                    conflict = VersionConflict("another", register=self.register, version=found.version)
                    return Refuse(conflict)
                return Write((seen.content or b"") + word, b"compared")

            yield from self._change(asked, compare, until_done=until_done)
        else:

            def add(found: Versioned) -> Verdict:
                return Write((found.content or b"") + word, b"appended")

            yield from self._change(asked, add, until_done=until_done)

    def delete(self) -> Steps:
        """Delete the register."""

        def remove(found: Versioned) -> Verdict:
            return Keep(b"nothing") if found.content is None else Delete(b"deleted")

        yield from self._change(self._ask("delete"), remove)

    def look(self) -> Steps:
        """Read by a change that changes nothing."""
        yield from self._change(self._ask("read"), lambda _: Keep(b"looked"))

    def read(self, *, until_done: bool = False) -> Steps:
        """Read."""
        asked = self._ask("read")
        while True:
            try:
                found = yield from self.process.registers.read(self.register)
            except NoMajority:
                if not until_done:
                    asked.end = REJECTED
                    return
                asked.start_s = self.world.now_s
            else:
                self.world.chains.was_read(self.register, found.version, found.content)
                asked.told(self.world.now_s, found.version, found.content)
                return

    def list(self) -> Steps:
        """List all registers: whether this one is there, is a read of it."""
        asked = self._ask("read")
        try:
            found = yield from names(self.process.registers, "r")
        except (ChangeRejected, ChangeUnknown):
            asked.end = REJECTED
            return
        if self.register in found:
            # it was there, whatever it held
            asked.end = REJECTED
        else:
            asked.told(self.world.now_s, 0, None)

    def _change(self, asked: Asked, change: Change, *, until_done: bool = False) -> Steps:
        operation = Operation(asked.word)
        world = self.world
        while True:
            try:
                changed: Changed = yield from self.process.registers.change(
                    self.register, change, operation, sticky=self.sticky
                )
            except VersionConflict as error:
                # certainly not done, and what stands there is told: a read
                world.chains.never(self.register, asked.word)
                asked.kind = "read"
                content = world.chains.content_of(self.register, error.version) if error.version else None
                asked.told(world.now_s, error.version, content)
                return
            except ChangeRejected:
                if not until_done:
                    asked.end = REJECTED
                    world.chains.never(self.register, asked.word)
                    return
            except ChangeUnknown as error:
                if "no longer remembered" in str(error) or (not until_done and world.random.random() < 0.3):
                    asked.end = UNKNOWN
                    return
            else:
                self._note(asked, changed)
                return

    def _note(self, asked: Asked, changed: Changed) -> None:
        if changed.answer in (b"nothing", b"looked"):
            asked.kind = "read"
            self.world.chains.was_read(self.register, changed.version, changed.content)
            asked.told(self.world.now_s, changed.version, changed.content)
            return
        content = self.world.chains.was_changed(self.register, changed.version, asked.word)
        asked.told(self.world.now_s, changed.version, content)
