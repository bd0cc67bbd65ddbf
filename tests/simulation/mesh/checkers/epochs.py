"""I9: the epoch of a node never decreases, whatever it is asked; and what a node that begins to lead must have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taskmesh.core.steps import Call, NodeError, Reply
from taskmesh.queue.enqueue import FENCED
from tests.simulation.mesh.ledger import PREFIX, BrokenPromise
from tests.simulation.mesh.network import Process
from tests.simulation.mesh.server import Server

if TYPE_CHECKING:
    from tests.simulation.mesh.world import World

EPOCH = PREFIX + b"epoch"
LEADER = PREFIX + b"leader"


class Epochs:
    """Watches epochs."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._known: dict[str, bytes] = {}
        self._tokens: dict[str, int] = {}

    def executed(self, server: Server, process: Process, call: Call, reply: Reply) -> None:
        """Look at what one call has changed."""
        self._obeys(server, process, call, reply)
        epoch: Any = server.node.values.get(EPOCH)
        known = self._known.get(server.address)
        if epoch is known or epoch == known:
            return
        if known is not None and (epoch is None or _order(epoch) < _order(known)):
            raise BrokenPromise(
                f"I9: the epoch of {server.address} went from {known!r} to {epoch!r} by {process.name}, {call}"
            )
        self._known[server.address] = epoch
        if epoch.startswith(b"f"):
            self.world.began_to_lead(server, int(epoch[1:], 16))

    def _obeys(self, server: Server, process: Process, call: Call, reply: Reply) -> None:
        """A node that has heard of a leader obeys none of those before, and takes no firing of them."""
        found: Any = server.node.values.get(LEADER, b"0")
        known, token = self._tokens.get(server.address, 0), int(found)
        if token < known:
            raise BrokenPromise(
                f"{server.address} obeyed leader {known}, and now {token} by {process.name}, {call}"
            )
        script = call.script
        if script is FENCED and int(call.args[2]) < token and not isinstance(reply, NodeError):
            raise BrokenPromise(f"{server.address} obeys leader {token}, and took {call} of {process.name}")
        self._tokens[server.address] = token

    def lost(self, server: Server) -> None:
        """Take in a disk as it is."""
        self._tokens.pop(server.address, None)
        epoch: Any = server.node.values.get(EPOCH)
        if epoch is None:
            self._known.pop(server.address, None)
        else:
            self._known[server.address] = epoch


def _order(epoch: bytes) -> tuple[int, bool]:
    """Return what of two epochs is the later: of one view, it is fenced before it is active."""
    if epoch[:1] in b"fx":
        return int(epoch[1:], 16), epoch.startswith(b"f")
    return 0, True
