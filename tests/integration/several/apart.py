"""Several nodes that nobody replicates: each is a mesh of its own by the same name, and a link leads to all of them.

What a worker does on a mesh of several nodes is tried on it, without what brings changes to backups. A call without a
node of its own goes where the messages are that it names.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, TypeVar

from taskmesh import AsyncResult, TaskMesh
from taskmesh.core.steps import Call, Pause, Reply, Steps
from taskmesh.nodes.link import Link
from taskmesh.queue.workers import register
from taskmesh.worker.child import Child
from taskmesh.worker.options import ChildOrder
from taskmesh.worker.page import Page, make_page
from tests.support import wait_until

T = TypeVar("T")


class LinkApart(Link):
    """Leads to several nodes, named n1, n2, ...

    Attributes:
        usable: Names of those that can be used.
        homes: Where each message is, by its id.
    """

    def __init__(self, links: dict[str, Link]) -> None:
        first = next(iter(links.values()))
        super().__init__(first.mesh, first._addresses, first._keyring, slots=16)
        self._each = links
        self.usable = tuple(links)
        self.homes: dict[str, str] = {}

    @property
    def nodes(self) -> tuple[str, ...]:
        return self.usable

    def at(self, node: str) -> Link:
        return self._each[node]

    def run(self, steps: Steps[T], *, within_s: float | None = None) -> T:
        try:
            request = next(steps)
            while True:
                if isinstance(request, Pause):
                    time.sleep(request.seconds)
                    request = steps.send([])
                else:
                    request = steps.send([self._reply(call, within_s) for call in request])
        except StopIteration as stop:
            return stop.value

    def _reply(self, call: Call, within_s: float | None) -> Reply:
        if call.node:
            return self._ask(call.node, call, within_s)
        if call.script is not None and call.script.name.endswith("commit"):
            return self._commit(call, within_s)
        return self._ask(self.usable[0], call, within_s)

    def _commit(self, call: Call, within_s: float | None) -> Reply:
        """Commit each message where it is."""
        front, entries = call.args[:6], call.args[6:]
        assert front[5] == b"0", "what is done belongs to a node"
        each = [entries[at : at + 4] for at in range(0, len(entries), 4)]
        ids = [entry[0].decode() for entry in each]
        # it may run before its sender has said where it is
        wait_until(lambda: all(task_id in self.homes for task_id in ids))
        homes = [self.homes[task_id] for task_id in ids]
        verdicts = bytearray(len(each))
        for home in set(homes):
            here = [at for at, where in enumerate(homes) if where == home]
            words = [word for at in here for word in each[at]]
            reply = self._ask(home, Call(call.script, call.prefix, (*front, *words)), within_s)
            if not isinstance(reply, bytes):
                return reply
            for at, verdict in zip(here, reply, strict=True):
                verdicts[at] = verdict
        return bytes(verdicts)

    def _ask(self, node: str, call: Call, within_s: float | None) -> Reply:
        """Ask a node, with its own epoch."""
        link = self._each[node]
        args = call.args
        if call.script is not None and len(args) > 1 and len(args[0]) == 12:
            args = (link.session.epoch, *args[1:])

        def once() -> Steps[Reply]:
            (reply,) = yield [Call(call.script, call.prefix, args, call.patience_s)]
            return reply

        return link.run(once(), within_s=within_s)


class Apart:
    """A mesh on each of several servers, and children over all of them.

    Attributes:
        meshes: One for each server, to send with.
        link: To all of them.
    """

    def __init__(self, urls: Sequence[str], secret: str, **settings: Any) -> None:
        self.meshes = [TaskMesh("apart", nodes=[url], key=secret, **settings) for url in urls]
        self.link = LinkApart({f"n{at}": mesh.link.open() for at, mesh in enumerate(self.meshes, 1)}).open()
        self.incarnation = "ab" * 8
        for mesh in self.meshes:
            mesh.link.run(register(mesh.link.session, self.incarnation.encode(), b"{}"))
        self.mesh = TaskMesh("apart", nodes=[urls[0]], key=secret, **settings)
        self.mesh._link = self.link

    def delay(self, at: int, name: str, what: str) -> AsyncResult[str]:
        """Send a message to a node, counted from 0."""
        result = self.meshes[at].tasks[name].delay(what)
        self.link.homes[result.id] = f"n{at + 1}"
        return result

    def child(self, *, queues: tuple[str, ...] = ("default",), number: int = 1, **more: Any) -> Child:
        page = Page(make_page(1))
        page.clear(0)
        order = ChildOrder(
            incarnation=self.incarnation,
            number=number,
            place=0,
            worker="w",
            queues=queues,
            burst=more.pop("burst", True),
            **more,
        )
        return Child(self.mesh, order, b"build", page)

    def close(self) -> None:
        for mesh in self.meshes:
            mesh.close()
