"""A process that appends to one register until it is told to stop, and writes down what it was told.

`python -m tests.integration.agreement.appender NODE ACCEPTORS NUMBER LOG STOP`: each line of the log is one wish or
read: when it began and ended (one monotonic clock for all), what it was to append, the outcome, and of a read what was
seen.
"""

from __future__ import annotations

import json
import random
import struct
import sys
import time
from hashlib import blake2b
from pathlib import Path
from typing import Any

from taskmesh import TaskMesh
from taskmesh.consensus.registers import Verdict, Versioned, Write
from taskmesh.errors import ChangeRejected, ChangeUnknown

REGISTER = "file/chain"


def packed(chain: list[int]) -> bytes:
    """Return a chain as the register holds it."""
    return struct.pack(f">{len(chain)}I", *chain)


def unpacked(content: bytes | None) -> list[int]:
    """Return the chain that a register holds."""
    content = content or b""
    return list(struct.unpack(f">{len(content) // 4}I", content))


def digest(chain: list[int]) -> str:
    """Return what tells two chains apart."""
    return blake2b(packed(chain), digest_size=8).hexdigest()


class Appender:
    """Appends numbers of its own."""

    def __init__(self, mesh: TaskMesh, number: int) -> None:
        self.agreement = mesh.agreement
        self.registers = mesh.agreement.registers
        self.registers.patience_s = 2.0
        self.number = number
        self.count = 0
        self.random = random.Random(number)

    def act(self) -> dict[str, Any]:
        """Do one thing, and return what is to be written down."""
        begun_s = time.monotonic()
        kind = self.random.choice(("append", "append", "set", "read"))
        told = getattr(self, f"_{kind}")()
        return {"kind": kind, "begun_s": begun_s, "ended_s": time.monotonic(), **told}

    def _next(self) -> int:
        self.count += 1
        return (self.number << 24) + self.count

    def _append(self) -> dict[str, Any]:
        """Append by a change, and repeat it while nobody knows whether it is done."""
        item, operation = self._next(), self.agreement.operation()

        def append(found: Versioned) -> Verdict:
            return Write(packed([*unpacked(found.content), item]))

        outcome = "no"
        for _ in range(5):
            try:
                self.agreement.run(self.registers.change(REGISTER, append, operation))
            except ChangeUnknown:
                outcome = "unknown"
            except ChangeRejected:
                break
            else:
                outcome = "ok"
                break
        return {"item": item, "outcome": outcome}

    def _set(self) -> dict[str, Any]:
        """Append by a read and a compare-and-set."""
        item = self._next()
        try:
            found = self.agreement.run(self.registers.read(REGISTER))
        except ChangeRejected:
            return {"item": item, "outcome": "no"}
        content = packed([*unpacked(found.content), item])
        steps = self.registers.compare_and_set(REGISTER, content, found.version, self.agreement.operation())
        try:
            self.agreement.run(steps)
        except ChangeUnknown:
            return {"item": item, "outcome": "unknown"}
        except ChangeRejected:
            return {"item": item, "outcome": "no"}
        return {"item": item, "outcome": "ok"}

    def _read(self) -> dict[str, Any]:
        try:
            found = self.agreement.run(self.registers.read(REGISTER))
        except ChangeRejected:
            return {"outcome": "no"}
        chain = unpacked(found.content)
        return {"outcome": "ok", "length": len(chain), "digest": digest(chain)}


def main() -> None:
    """Append until the stop file is there."""
    node, acceptors, number, log, stop = sys.argv[1:]
    mesh = TaskMesh("agreed", nodes=[node], key="0" * 32, acceptors=acceptors.split(","))
    appender = Appender(mesh, int(number))
    with Path(log).open("w") as file:
        while not Path(stop).exists():
            file.write(json.dumps(appender.act()) + "\n")
            file.flush()
            # others shall come in between, and the chain not grow without end, however long a test may take
            time.sleep(0.01 if appender.count < 2000 else 0.3)
    mesh.close()


if __name__ == "__main__":
    main()
