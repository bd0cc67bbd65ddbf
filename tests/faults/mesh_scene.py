"""A scene on several nodes that keep copies of each message, and what can be seen of their view."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from taskmesh.coordination.leader import REGISTER as LEADER
from taskmesh.coordination.leader import unpack_leader
from taskmesh.coordination.node_wish import REGISTER, NodeWish, wishing
from taskmesh.core.ids import routing_of, slot_of
from taskmesh.errors import AgreementError, NodeUnavailable
from taskmesh.replication.packed_view import unpack
from taskmesh.replication.view import UP, View
from tests.faults.load import Load
from tests.faults.scene import START_S, Scene
from tests.faults.server import Server
from tests.nodes import Nodes
from tests.support import wait_until

#: A slow machine takes as long as that to change a view and to copy all; when it has passed, it never will be.
CHANGE_S = 180.0


class MeshScene(Scene):
    """What one test plays with, where the nodes are several servers of its own.

    Attributes:
        nodes: The servers.
        urls: Where they are found; proxies may stand in between.
    """

    def __init__(
        self, mesh: str, nodes: Nodes, folder: Path, *, urls: list[str] | None = None, **settings: Any
    ) -> None:
        """Make one.

        Args:
            mesh: Its name.
            nodes: Its servers.
            folder: For notes, logs and books.
            urls: Where callers and workers find them; the servers' own addresses, if not given.
            settings: Of the mesh, for workers and callers.
        """
        self.nodes = nodes
        self.urls = urls or nodes.urls
        super().__init__(mesh, ",".join(self.urls), folder, **settings)
        self.mesh.link.open()

    # -- the nodes ----------------------------------------------------------------

    def answering(self) -> list[Server]:
        """Return the servers that answer."""
        found = []
        for server in self.nodes:
            try:
                with server.client() as client:
                    client.connection_pool.connection_kwargs["socket_timeout"] = 1
                    client.ping()
            except RedisError:
                continue
            found.append(server)
        return found

    def answers(self) -> bool:
        """Tell whether so many answer that messages can be sent: of three, two."""
        return len(self.answering()) > len(self.nodes) // 2

    def ask(self, *words: str) -> Any:
        """Ask any node that answers."""
        server = wait_until(self.answering, CHANGE_S, "a node answers")[0]
        with server.client() as client:
            return client.execute_command(*words)

    def views(self) -> list[View]:
        """Return the views of all nodes that answer, the newest first."""
        found = []
        for server in self.answering():
            try:
                with server.client() as client:
                    packed = client.get(f"{self.prefix}view")
            except RedisError:
                continue  # it was harmed in this moment
            if packed:
                found.append(unpack(packed))
        return sorted(found, key=lambda view: -view.number)

    def view(self) -> View:
        """Return the newest view that a node has."""
        return wait_until(self.views, CHANGE_S, "a node has a view")[0]

    def is_whole(self) -> bool:
        """Tell whether all nodes have one active view in which everybody takes part and no copy is lacking."""
        views = self.views()
        return (
            len(views) == len(self.nodes)
            and len({(view.number, view.phase) for view in views}) == 1
            and views[0].phase == "active"
            and len(views[0].nodes) == len(self.nodes)
            and all(len(row) == views[0].replicas for row in views[0].table)
        )

    def whole(self) -> View:
        """Wait until nothing is lacking, and return the view."""
        self.until(self.is_whole, "all take part with all copies")
        return self.view()

    def until(self, predicate: Callable[[], Any], what: str, timeout_s: float = CHANGE_S) -> Any:
        """Wait for something that a change of the view brings; when it does not come, the views are told."""
        try:
            return wait_until(predicate, timeout_s, what)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.told()}") from error

    def led(self) -> None:
        """Wait for a leader: before the first one, the registers do not exist yet, and nobody looks after nodes."""
        # the workers, one of whom is to lead, may only just be starting
        self.until(self._leader, "somebody leads", START_S + CHANGE_S)

    def _leader(self) -> str:
        agreement = self.mesh.agreement
        try:
            found = agreement.run(agreement.registers.read(LEADER))
        except (AgreementError, NodeUnavailable):
            return ""  # a majority was away in this moment, or the registers are not there yet
        return unpack_leader(found.content).name

    def newer(self, than: int) -> View:
        """Wait for a newer view in which nothing is lacking: until then, who was killed for a moment seems well."""
        self.until(lambda: self.view().number > than, f"view {than} is followed by another")
        return self.whole()

    def told(self) -> str:
        """Return the views in short, for who reads of a failure."""
        return "; ".join(
            f"{view.number} {view.phase} {[(member.id, member.state) for member in view.members]}"
            for view in self.views()
        )

    def without(self, at: int) -> View:
        """Wait until the view goes on without a server, and return it."""

        def found() -> View | None:
            for view in self.views():
                member = self.member_of(view, at)
                if view.phase == "active" and member.state != UP:
                    return view
            return None

        view: View = self.until(found, f"the view leaves node {at} out")
        return view

    def member_of(self, view: View, at: int) -> Any:
        """Return the member that a server is."""
        (member,) = (member for member in view.members if member.address.rstrip("/").endswith(self._port(at)))
        return member

    def _port(self, at: int) -> str:
        return ":" + self.urls[at].rstrip("/").rpartition(":")[2].split("/")[0]

    def wish(self, at: int, wish: NodeWish) -> None:
        """Write down what an operator wants of a server that is a member."""
        agreement = self.mesh.agreement
        change = wishing(self.member_of(self.view(), at).id, wish)
        agreement.run(agreement.registers.change(REGISTER, change, agreement.operation()))

    # -- the reckoning ------------------------------------------------------------

    def left(self) -> list[str]:
        """Return the indexes that hold something on a node that keeps their slot: none should, once all is final.

        What a node that was away knows of claims made before (`run:`) stays until their holder is reaped, and what
        it has of slots that others keep by now is of no account.
        """
        view, found = self.view(), []
        for at, server in enumerate(self.nodes):
            member = self.member_of(view, at).id
            with server.client() as client:
                found += [key.decode() for kind in ("q:*", "d") for key in client.keys(self.prefix + kind)]
                for key in client.keys(f"{self.prefix}L:*"):
                    if member in view.table[int(key.rpartition(b":")[2], 16)]:
                        found.append(f"{member}: {key.decode()}")
        return found

    def differing(self) -> list[str]:
        """Return the ids of records that are not the same on all nodes which keep their slot."""
        view = self.view()
        copies: dict[str, dict[str, bytes]] = {}
        for at, server in enumerate(self.nodes):
            member = self.member_of(view, at).id
            with server.client() as client:
                names = list(client.scan_iter(f"{self.prefix}r:*", count=1000))
                for name, record in zip(names, client.mget(names) if names else [], strict=True):
                    copies.setdefault(name.decode().removeprefix(f"{self.prefix}r:"), {})[member] = record
        return [
            task_id
            for task_id, held in copies.items()
            if len({held.get(member) for member in view.table[slot_of(routing_of(task_id), view.slots)]}) != 1
        ]


def balance(scene: MeshScene, load: Load, timeout_s: float = 120.0) -> None:
    """Demand, when all is over, that the ledger balances, and that the copies are alike and complete.

    Nodes count ends each for itself, and lose the count with their data, so there is no count of all.
    """
    scene.whole()
    load.balance(timeout_s, counted=False, left=False)
    scene.until(lambda: not scene.differing(), "all copies are alike")
    scene.until(lambda: not scene.left(), "nothing is left in the indexes")
