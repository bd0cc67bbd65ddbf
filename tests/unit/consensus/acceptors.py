"""Acceptors of each kind behind one face: the model, and the scripts on a node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from taskmesh.consensus import scripts
from taskmesh.consensus.acceptor import Acceptor, Register
from taskmesh.consensus.ballot import Ballot
from taskmesh.core.script import Script
from taskmesh.testing.simulated_node import SimulatedError

PREFIX = b"tm:test:"
#: Also where memory is full.
WRITE = b"#!lua flags=allow-oom\nreturn redis.call(unpack(ARGV))"
BY_NAME = {script.name: script for script in vars(scripts).values() if isinstance(script, Script)}


class AnyAcceptor(Protocol):
    """An acceptor of any kind."""

    run: bytes

    def call(self, name: str, args: Sequence[bytes]) -> Any:
        """Run a step by the name of its script."""

    def start_anew(self) -> None:
        """Have it find that it was admitted as another process than the one it is now."""

    def place(self, configuration: int, name: bytes, n: int) -> None:
        """Have it accepted "v" under (n, 1), as if it had been led there step by step."""


class ModelAcceptor:
    """The model."""

    def __init__(self, run: bytes = b"run-of-the-model") -> None:
        self.acceptor = Acceptor(run)
        self.run = self.acceptor.run

    def call(self, name: str, args: Sequence[bytes]) -> Any:
        return self.acceptor.call(name, args)

    def start_anew(self) -> None:
        if self.acceptor.instance:
            self.acceptor.admitted = b"before"

    def place(self, configuration: int, name: bytes, n: int) -> None:
        if (state := self.acceptor.configurations.get(configuration)) is not None and not state.sealed:
            ballot = Ballot(n, 1)
            state.registers[name] = Register(ballot, ballot, b"d", b"v")
            state.names.setdefault(name, 0)


class Node(Protocol):
    """A node, simulated or real."""

    def call(self, words: Any) -> Any:
        """Run a command."""


class ScriptAcceptor:
    """The scripts on a node, each sent by its digest until the node asks for the text."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.run = self.call("consensus.look", [])[2]

    def call(self, name: str, args: Sequence[bytes]) -> Any:
        script = BY_NAME[name]
        reply = self.node.call([b"EVALSHA", script.sha, b"1", PREFIX, *args])
        if isinstance(reply, SimulatedError) and reply.text.startswith("NOSCRIPT"):
            reply = self.node.call([b"EVAL", script.source, b"1", PREFIX, *args])
        return reply

    def start_anew(self) -> None:
        if self.node.call([b"EXISTS", PREFIX + b"ac:instance"]):
            self._write(b"HSET", PREFIX + b"ac:instance", b"run", b"before")

    def place(self, configuration: int, name: bytes, n: int) -> None:
        base = PREFIX + b"ac:%d" % configuration
        if self.node.call([b"HGET", base, b"sealed"]) == b"0":
            at = b"%d" % n
            fields = [b"pn", at, b"pp", b"1", b"an", at, b"ap", b"1", b"digest", b"d", b"value", b"v"]
            self._write(b"HSET", base + b":r:" + name, *fields)
            self._write(b"ZADD", base + b":names", b"NX", b"0", name)

    def _write(self, *words: bytes) -> None:
        self.node.call([b"EVAL", WRITE, b"0", *words])
