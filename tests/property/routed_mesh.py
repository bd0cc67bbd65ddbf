"""A mesh of many simulated nodes reached by routes alone, and one node that does the same work by itself."""

from __future__ import annotations

from typing import Any

from taskmesh.core import keys
from taskmesh.core.steps import Call, NoAnswer, NodeError, Pause, Session
from taskmesh.replication.route_commands import route_plain
from taskmesh.replication.routes import route
from taskmesh.replication.view import View
from taskmesh.testing.lua_runtime import SimulatedError
from taskmesh.testing.simulated_node import SimulatedNode

PREFIX = keys.prefix("test")
BEGIN_MS = 1_700_000_000_000


class OneNode:
    """Runs protocols on one node."""

    def __init__(self, slots: int) -> None:
        self.nodes = {"": SimulatedNode()}
        self._begin(slots)

    def _begin(self, slots: int) -> None:
        self.now_ms = BEGIN_MS
        for node in self.nodes.values():
            epoch = node.set_epoch(PREFIX)
        self._epoch = epoch
        self.session = Session(PREFIX, epoch, slots, lambda: self.now_ms)

    def run(self, steps: Any) -> Any:
        """Run a protocol to its end."""
        replies = None
        while True:
            try:
                request = steps.send(replies)
            except StopIteration as end:
                return end.value
            if isinstance(request, Pause):
                self.now_ms += int(request.seconds * 1000)
                replies = None
            else:
                replies = [self.reply(call) for call in request]

    def reply(self, call: Call) -> Any:
        """Have a call answered."""
        return self._ask("", call, call.args)

    def _ask(self, name: str, call: Call, args: tuple[bytes, ...]) -> Any:
        node = self.nodes[name]
        if not node.running:
            return NoAnswer(f"{name} is away")
        if args[:1] == (self.session.epoch,):
            args = (self._epoch, *args[1:])
        reply = node.call(args) if call.script is None else node.eval(call.script.source, [call.prefix], args)
        return NodeError(reply.text) if isinstance(reply, SimulatedError) else reply


class ManyNodes(OneNode):
    """Runs protocols on many nodes, each call as its route says."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.nodes = {node: SimulatedNode(node) for node in view.nodes}
        self._begin(view.slots)
        self.session.epoch = (
            view.epoch
        )  # nodes are told their own instead, as all of this is about routes alone

    def reply(self, call: Call) -> Any:
        """Have a call answered by the nodes that its route names, or the one that it names itself."""
        if call.node:
            return self._ask(call.node, call, call.args)
        if call.script is None:
            routed = route_plain(self.view, call.prefix, call.args)
            return routed.merge([self._ask(node, call, args) for node, args in routed.calls])
        first = 2 if call.script.checks_epoch else 0
        routed = route(call.script.name, self.view, call.args[first:])
        return routed.merge(
            [self._ask(node, call, (*call.args[:first], *args)) for node, args in routed.calls]
        )


def at(node: str, steps: Any) -> Any:
    """Return the protocol with all its calls pinned to a node."""
    replies = None
    while True:
        try:
            request = steps.send(replies)
        except StopIteration as end:
            return end.value
        if not isinstance(request, Pause):
            request = [Call(each.script, each.prefix, each.args, each.patience_s, node) for each in request]
        replies = yield request
