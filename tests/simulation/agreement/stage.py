"""A stage for directed schedules: who hears what, and whose answer arrives, is said word by word.

stage = Stage("abcdef")
talk = stage.talk(stage.registers().change("r", append(b"x"), Operation(b"x")))
talk.heard("ab")                 # this round reaches a and b, whose answers arrive
talk.heard("b", reaches="abc")   # it reaches all three; only b's answer arrives
late = talk.on_the_way()         # calls of this round that may still arrive
"""

from __future__ import annotations

from collections.abc import Generator
from random import Random
from typing import Any

from taskmesh.consensus.acceptor import Acceptor
from taskmesh.consensus.chain import Chain
from taskmesh.consensus.configuration import Configuration, Member
from taskmesh.consensus.founding import found
from taskmesh.consensus.registers import Change, Operation, Registers, Versioned, Write
from taskmesh.consensus.value import Packing
from taskmesh.core.steps import Call, NoAnswer, NodeError, Pause, Round

PREFIX = b"tm:stage:"
SILENT = NoAnswer("silent")
Steps = Generator[Any, Any, Any]


def append(word: bytes) -> Change:
    """Return a change that appends a word."""
    return lambda found: Write((found.content or b"") + b" " + word)


class Talk:
    """A conversation under way.

    Attributes:
        result: What it ended with; None before.
        ended: Whether it has.
    """

    def __init__(self, stage: Stage, steps: Steps) -> None:
        self._stage = stage
        self._steps = steps
        self._round: Round | None = None
        self.result: Any = None
        self.ended = False
        self._go_on(None)

    def _go_on(self, value: Any) -> None:
        try:
            request = self._steps.send(value)
            while isinstance(request, Pause):
                self._stage.now_s += request.seconds
                request = self._steps.send([])
        except StopIteration as stop:
            self._round, self.ended, self.result = None, True, stop.value
        else:
            self._round = request

    @property
    def script(self) -> str:
        """Which step is asked for now."""
        call = self._calls()[0]
        return call.script.name.partition(".")[2] if call.script else ""

    @property
    def names(self) -> list[bytes]:
        """The arguments after instance and configuration."""
        return list(self._calls()[0].args[2:])

    def _calls(self) -> list[Call]:
        assert self._round is not None, "it has ended"
        return self._round.calls

    def on_the_way(self) -> list[Call]:
        """Return the calls of this round, to be delivered later."""
        return list(self._calls())

    def heard(self, answers: str, reaches: str = "") -> Talk:
        """Let this round reach some acceptors; those of `answers` are heard, all others are silent.

        Where not all of them are needed, the first are heard, in this order.
        """
        round_, replies = self._round, {}
        assert round_ is not None
        for call in round_.calls:
            if call.node in reaches or call.node in answers:
                replies[call.node] = self._stage.deliver(call)
        self._go_on([replies[call.node] if call.node in answers else SILENT for call in round_.calls])
        return self

    def answered(self, replies: dict[str, Any]) -> Talk:
        """Have this round answered by these, each by its acceptor's address."""
        self._go_on([replies.get(call.node, SILENT) for call in self._calls()])
        return self

    def until(self, script: str, answers: str, first: bytes = b"") -> Talk:
        """Go on, with everybody heard of `answers`, until it is about to ask for a step (of a register, or of many)."""
        for _ in range(100):
            if self.ended or (
                self.script.removesuffix("_all") == script and (not first or first in self.names)
            ):
                return self
            self.heard(answers)
        raise AssertionError(f"it never came to {script}")

    def end(self, answers: str) -> Any:
        """Go on to the end, with everybody heard of `answers`, and return the result."""
        for _ in range(200):
            if self.ended:
                return self.result
            self.heard(answers)
        raise AssertionError("it does not end")


class Stage:
    """Acceptors, and a clock that stands still but in pauses."""

    def __init__(self, members: str, spare: str = "", acceptor: type[Acceptor] = Acceptor) -> None:
        """Make a first configuration.

        Args:
            members: A letter for each acceptor.
            spare: Further acceptors, made and ready.
            acceptor: The model.
        """
        self.now_s = 0.0
        self.random = Random(7)
        self.acceptors = {address: acceptor(b"run of " + address.encode()) for address in members + spare}
        self.packing = Packing(bytes, bytes)
        self.members = members
        ids = iter(range(1000))
        steps = found(PREFIX, list(members), lambda: f"i{next(ids)}", lambda _: "")
        self.talk(steps).end(members)
        for address in spare:
            made = self.acceptors[address]
            made.admit(f"i{address}".encode(), b"", 0, b"", made.run)

    def registers(self) -> Registers:
        """Return another process's way to the registers."""
        chain = Chain(PREFIX, self.packing, list(self.members))
        return Registers(PREFIX, chain, self.packing, self.random, lambda: self.now_s, patience_s=60.0)

    def member(self, address: str) -> Member:
        """Return who lives at an address."""
        return Member(self.acceptors[address].instance.decode(), address)

    def talk(self, steps: Steps) -> Talk:
        """Begin a conversation."""
        return Talk(self, steps)

    def deliver(self, call: Call) -> Any:
        """Have a call arrive."""
        if call.script is not None:
            return self.acceptors[call.node].call(call.script.name, call.args)
        if call.args[0] == b"ZCARD":
            number = int(call.args[1].removeprefix(PREFIX + b"ac:").removesuffix(b":names"))
            return len(self.acceptors[call.node].configurations[number].names)
        # what a server says of itself
        return NodeError("unknown command")

    def append(self, word: bytes, answers: str = "") -> Any:
        """Append a word to register r, as a process of its own."""
        steps = self.registers().change("r", append(word), Operation(b"a" + word))
        return self.talk(steps).end(answers or "".join(self.acceptors))

    def read(self, answers: str = "") -> bytes | None:
        """Read register r, as a process of its own."""
        found: Versioned = self.talk(self.registers().read("r")).end(answers or "".join(self.acceptors))
        return found.content

    def configuration(self) -> Configuration:
        """Return the first configuration."""
        return Configuration(1, tuple(self.member(address) for address in self.members))
