"""A mesh of a few simulated nodes, without time and chance: what is sent arrives, unless a node is down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from taskmesh.core import keys
from taskmesh.core.ids import make_id, routing_of, slot_of
from taskmesh.core.record import head_parts
from taskmesh.core.steps import OUT, Call, NoAnswer, NodeError, Pause, Refused, Reply, Round, Session, Steps
from taskmesh.queue.enqueue import NewMessage
from taskmesh.replication.packed_view import pack
from taskmesh.replication.spread import Spread, spread
from taskmesh.replication.standing import Standing
from taskmesh.replication.view import Member, View
from taskmesh.ring import RingNode, propose
from taskmesh.testing.lua_runtime import SimulatedError
from taskmesh.testing.simulated_node import SimulatedNode

SLOTS = 32
PREFIX = keys.prefix("small")
NOW_MS = 1_800_000_000_000


def make_view(number: int = 1, nodes: int = 3, replicas: int = 3, **more: Any) -> View:
    """Return an active view of so many nodes."""
    ids = [f"n{at}" for at in range(1, nodes + 1)]
    members = tuple(
        Member(node, f"redis://{node}:6379", f"{at:016x}", f"run-{node}") for at, node in enumerate(ids)
    )
    table = tuple(propose(SLOTS, [RingNode(node) for node in ids], replicas))
    return View(number, "active", SLOTS, replicas, members, table, **more)


class SmallMesh:
    """A few nodes that obey a view, and a process that speaks with them."""

    def __init__(self, view: View) -> None:
        """Make the nodes."""
        self.nodes = {member.id: SimulatedNode(member.id) for member in view.members}
        self.now_ms = NOW_MS
        self.calls: list[Call] = []
        self.replies: list[Reply] = []
        self.told: list[tuple[bytes, bytes]] = []
        self.late: dict[str, bool] = {}
        self.on_pause: Callable[[], None] = lambda: None
        self.anew: set[str] = set()
        for node in view.members:
            self.activate(node.id, view)
        self.session = Session(PREFIX, b"", view.slots, lambda: self.now_ms)
        self.standing = Standing(view, self.session)

    def activate(self, node: str, view: View) -> None:
        """Have a node obey a view."""
        run = self.nodes[node].call
        run((b"HSET", PREFIX + b"me", b"id", node))
        run((b"SET", PREFIX + b"view", pack(view)))
        run((b"SET", PREFIX + b"own", view.own(node)))
        run((b"SET", PREFIX + b"epoch", view.epoch))

    def run(self, steps: Steps[Any], node: str = "") -> Any:
        """Run a protocol to its end."""
        return self.converse(spread(steps, self.standing, node))

    def converse(self, conversation: Spread[Any]) -> Any:
        """Run a conversation with several nodes to its end."""
        try:
            request = next(conversation)
        except StopIteration as stop:
            return stop.value
        return self.go_on(conversation, request)

    def go_on(self, conversation: Spread[Any], request: Round | Pause) -> Any:
        """Run one that has begun to its end."""
        try:
            while True:
                if isinstance(request, Pause):
                    self.now_ms += int(request.seconds * 1000)
                    self.on_pause()
                    request = conversation.send([])
                else:
                    request = conversation.send(self._round(request))
        except StopIteration as stop:
            return stop.value

    def _round(self, request: Round) -> Sequence[Reply]:
        replies: list[Reply] = [OUT] * len(request.calls)
        for at, call in enumerate(request.calls):
            replies[at] = self._answer(call)
        return replies

    def _answer(self, call: Call) -> Reply:
        self.calls.append(call)
        # members may be named by their addresses as well
        node = self.nodes[call.node.removeprefix("redis://").partition(":")[0]]
        if not node.running or call.node in self.anew:
            return Refused(f"{call.node} is down, or was started anew")
        script = call.script
        reply = (
            node.eval(script.source, [call.prefix], call.args) if script is not None else node.call(call.args)
        )
        self.replies.append(reply)
        if isinstance(reply, SimulatedError):
            return NodeError(reply.text.removeprefix("ERR "))
        if self.late.pop(call.node, False):
            return NoAnswer("lost")
        return reply

    def record(self, node: str, task_id: bytes) -> bytes | None:
        """Return a node's copy of a record."""
        found = self.nodes[node].values.get(PREFIX + b"r:" + task_id)
        return found if isinstance(found, bytes) else None

    def members_of(self, node: str, key: bytes) -> set[bytes]:
        """Return what a node has in a set."""
        return set(self.nodes[node].call((b"SMEMBERS", PREFIX + key)))  # type: ignore[arg-type]

    def index_of(self, node: str, key: bytes) -> list[bytes]:
        """Return what a node lists in an index, in its order."""
        return list(self.nodes[node].call((b"ZRANGE", PREFIX + key, b"0", b"-1")))  # type: ignore[arg-type]

    def versions(self, task_id: bytes) -> dict[str, bytes]:
        """Return the versions of all copies."""
        return {
            node: record[2:10] for node in self.nodes if (record := self.record(node, task_id)) is not None
        }


def message(
    at: int, *, queue: bytes = b"default", due_ms: bytes = b"", function: bytes = b"", **more: Any
) -> NewMessage:
    """Return a message to be sent; its number makes its id, and so its slot."""
    task_id = make_id(NOW_MS, (at * 7919) % 65536, at.to_bytes(8, "big"))
    slot = b"%04x" % slot_of(routing_of(task_id), SLOTS)
    start, middle, end, names = head_parts(
        state=b"S" if due_ms else b"P",
        queue=queue,
        channel=b"c" * 16,
        function=function,
        priority=4,
        flags=0,
        result_ttl_s=3600,
    )
    due = b"%012x" % int(due_ms or b"0")
    record = start + slot + middle[:0] + middle + b"%012x" % NOW_MS + due + end + names + b"envelope %d" % at
    return NewMessage(task_id.encode(), record, slot, queue, NOW_MS, due_ms=due_ms, function=function, **more)
