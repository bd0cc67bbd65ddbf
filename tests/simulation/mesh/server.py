"""A server of the mesh: a simulated node with a disk that may be lost, behind an address."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from taskmesh.core.script import Script
from taskmesh.core.steps import Call, NodeError
from taskmesh.testing.lua_runtime import SimulatedError
from taskmesh.testing.simulated_node import SimulatedNode, Snapshot


@cache
def _in_pieces(script: Script, size: int) -> Script:
    """Return a script to which records of more bytes are large."""
    source = script.source.replace(b"LARGE_BYTES = 1048576", b"LARGE_BYTES = %d" % size)
    sha = hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()
    return replace(script, source=source, sha=sha)


class Server:
    """One server.

    Attributes:
        address: Where it is.
        node: The simulated node.
        up: Whether it runs.
        stopped: Whether it is stopped for a while: what comes in waits.
        waiting: What has come in meanwhile.
    """

    def __init__(
        self, address: str, clock_us: Callable[[], int], scripts: Mapping[str, Script], piece_bytes: int = 0
    ) -> None:
        self.address = address
        self.node = SimulatedNode(address, clock_us=clock_us)
        self.up = True
        self.stopped = False
        self.waiting: list[tuple[Callable[[Any], None], Any]] = []
        self._lost_at = 0
        self._runs: dict[str, int] = {}
        self._scripts = scripts
        self._piece_bytes = piece_bytes
        self._disks: list[Snapshot] = []
        self._loaded: set[bytes] = set()

    @property
    def run(self) -> int:
        """Which start of it this is."""
        return self.node.generation

    @property
    def run_id(self) -> str:
        """The run id that it tells."""
        info: Any = self.node.call((b"INFO", b"server"))
        for line in info.decode().splitlines():
            label, _, value = line.partition(":")
            if label == "run_id":
                self._runs[str(value)] = self.run
                return str(value)
        raise AssertionError("a server tells its run id")

    def has_lost_since(self, run_id: str) -> bool:
        """Tell whether its disk was lost, or replaced by an older one, after the start that had this run id."""
        return self._runs.get(run_id, 0) < self._lost_at

    def execute(self, call: Call) -> Any:
        """Execute a call."""
        if call.script is None:
            reply = self.node.call(call.args)
        else:
            script = self._scripts.get(call.script.name, call.script)
            if self._piece_bytes:
                script = _in_pieces(script, self._piece_bytes)
            if script.sha not in self._loaded:
                self.node.call((b"SCRIPT", b"LOAD", script.source))
                self._loaded.add(script.sha)
            reply = self.node.evalsha(script.sha, (call.prefix,), call.args)
        if isinstance(reply, SimulatedError):
            return NodeError(reply.text.removeprefix("ERR "))
        return reply

    def keep_disk(self) -> None:
        """Copy the disk, for one who comes back with it later."""
        self._disks = [*self._disks[-2:], self.node.snapshot()]

    def crash(self) -> None:
        """Stop answering; the disk stays."""
        self.up = False
        self.waiting.clear()
        self._loaded.clear()
        self.node.crash()

    def start(self, *, older: bool = False, empty: bool = False) -> None:
        """Start anew: with the disk as it was, with an older one, or with an empty one."""
        if empty:
            self.node.wipe()
            self._lost_at = self.run + 1
        elif older and self._disks:
            self.node.restore(self._disks[0])
            self._lost_at = self.run + 1
        self._disks = []
        self.node.restart()
        self.up, self.stopped = True, False
        assert self.run_id in self._runs
