"""Workers: who was declared dead does not come to life by what it says, and what one tells of itself is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskmesh.core.steps import NodeError
from taskmesh.queue.control import ORDER
from taskmesh.queue.workers import WORKER
from taskmesh.testing.node_commands.values import HashValue
from taskmesh.testing.simulated_network import Executed
from tests.simulation.ledger import PREFIX, Violation

if TYPE_CHECKING:
    from tests.simulation.world import World

GONE = b""
#: By which operation a worker comes from which state into which.
MOVES = {
    b"register": {(GONE, b"live"), (b"dead", b"live")},
    b"declare": {(b"live", b"dead")},
    b"bury": {(b"live", GONE), (b"dead", GONE)},
}


class Workers:
    """Knows what each worker is, and what it has told."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._states: dict[bytes, bytes] = {}
        self._infos: dict[bytes, bytes] = {}

    def came_back_older(self) -> None:
        """Know what the older disk knows."""
        for incarnation in self._states:
            self.look_at(incarnation)

    def look_at(self, incarnation: bytes) -> None:
        """Take a worker as it is, whatever it was before."""
        self._states[incarnation] = self._of(incarnation, b"state")
        self._infos[incarnation] = self._of(incarnation, b"info")

    def executed(self, executed: Executed) -> None:
        """Check what became of a worker by something that was said of it."""
        script, args = executed.call.script, executed.call.args
        if script is None or isinstance(executed.reply, NodeError):
            return
        if script.name == ORDER.name and (executed.reply == 1) != (self._states.get(args[2]) == b"live"):
            raise Violation(f"{args[2]!r} is {self._states.get(args[2])!r}, and is told {executed.reply!r}")
        if script.name != WORKER.name:
            return
        what, incarnation = args[2:4]
        before, after = self._states.get(incarnation, GONE), self._of(incarnation, b"state")
        said = f"{what.decode()} by {executed.process}: {incarnation!r}"
        if before != after and (before, after) not in MOVES.get(what, ()):
            raise Violation(f"{said} was {before or 'gone'!r}, and is {after or 'gone'!r}")
        self._states[incarnation] = after
        if what == b"register" or (what == b"tell" and executed.reply == 1):
            self._infos[incarnation] = args[4]
        elif after == GONE:
            self._infos[incarnation] = GONE
        info = self._of(incarnation, b"info")
        if info != self._infos.get(incarnation, GONE):
            raise Violation(f"{said} told {self._infos.get(incarnation)!r} last, and {info!r} is known")
        if what == b"tell" and (executed.reply == 1) != (before == b"live"):
            raise Violation(f"{said} was {before or 'gone'!r}, and is told {executed.reply!r}")

    def _of(self, incarnation: bytes, field: bytes) -> bytes:
        said = self.world.node.values.get(PREFIX + b"w:" + incarnation)
        return said.get(field, GONE) if isinstance(said, HashValue) else GONE
