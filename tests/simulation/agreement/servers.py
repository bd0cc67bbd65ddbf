"""Servers with an acceptor on each: the model, or the scripts on a simulated node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from taskmesh.consensus import scripts
from taskmesh.consensus.acceptor import Acceptor, Answer, Configuration, Register
from taskmesh.core.script import Script
from taskmesh.testing.simulated_node import SimulatedNode

PREFIX = b"tm:sim:"
SCRIPTS = {script.name: script for script in vars(scripts).values() if isinstance(script, Script)}
#: An older disk lacks up to so many of the last writes.
FORGETS = 3
READS = frozenset(("consensus.peek", "consensus.changes", "consensus.export", "consensus.look"))


class ModelServer:
    """A server that runs the model.

    Attributes:
        address: Where it is.
        durable: Whether its settings promise that nothing which it answered is forgotten.
        up: Whether it runs.
        starts: How often it was started.
        acceptor: What it knows.
    """

    def __init__(self, address: str, *, durable: bool, acceptor: type[Acceptor] = Acceptor) -> None:
        self.address = address
        self.durable = durable
        self.up = True
        self.starts = 1
        self._kind = acceptor
        self.acceptor = acceptor(self._run())
        self._older = self.acceptor
        self._writes = 0

    def _run(self) -> bytes:
        return f"{self.address}run{self.starts}".encode()

    def execute(self, script: str, args: Sequence[bytes]) -> Answer:
        """Run a step."""
        if not self.durable and script not in READS:
            self._writes += 1
            if self._writes % FORGETS == 1:
                self._older = _copy(self.acceptor)
        return self.acceptor.call(script, args)

    def start(self, *, older: bool = False, empty: bool = False) -> None:
        """Start it, or start it anew: with its disk as it was, as it was some writes before, or with an empty one."""
        self.starts += 1
        self.up = True
        if empty:
            self.acceptor = self._kind(b"")
        elif older:
            self.acceptor = self._older
        self.acceptor.run = self._run()

    @property
    def instance(self) -> str:
        """Which instance its disk holds."""
        return self.acceptor.instance.decode()


def _copy(acceptor: Acceptor) -> Acceptor:
    configurations = {
        number: Configuration(
            known.members,
            known.sealed,
            known.dropped,
            {
                name: Register(each.promised, each.accepted, each.digest, each.value)
                for name, each in known.registers.items()
            },
            dict(known.names),
        )
        for number, known in acceptor.configurations.items()
    }
    return type(acceptor)(
        acceptor.run,
        acceptor.instance,
        acceptor.admitted,
        acceptor.boot,
        acceptor.count,
        acceptor.latest,
        configurations,
    )


class ScriptServer:
    """A server that runs the scripts.

    Attributes:
        address, durable, up, starts: As of `ModelServer`.
        node: The simulated node.
    """

    def __init__(self, address: str, *, durable: bool, patched: Mapping[str, Script]) -> None:
        self.address = address
        self.durable = durable
        self.up = True
        self.starts = 1
        self.node = SimulatedNode(address)
        self._scripts = {**SCRIPTS, **patched}
        self._older = self.node.snapshot()
        self._writes = 0

    def execute(self, script: str, args: Sequence[bytes]) -> Any:
        """Run a step."""
        if not self.durable and script not in READS:
            self._writes += 1
            if self._writes % FORGETS == 1:
                self._older = self.node.snapshot()
        text = self._scripts[script]
        return self.node.eval(text.source, [PREFIX], args)

    def start(self, *, older: bool = False, empty: bool = False) -> None:
        """Start it, or start it anew."""
        self.starts += 1
        self.up = True
        if empty:
            self.node.wipe()
        elif older:
            self.node.restore(self._older)
        self.node.restart()

    @property
    def instance(self) -> str:
        """Which instance its disk holds."""
        held: Any = self.node.values.get(PREFIX + b"ac:instance")
        return held[b"id"].decode() if held else ""


Server = ModelServer | ScriptServer
