"""The nodes of a mesh of many, as one process sees them: where each is, the view, and what runs protocols on them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from taskmesh.errors import ConfigError, NodeUnavailable, TaskMeshError
from taskmesh.nodes import known_members
from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.member import Place
from taskmesh.nodes.mesh_driver import MeshDriver
from taskmesh.nodes.spread_driver import AsyncSpreadDriver, SpreadDriver
from taskmesh.replication.pin import pin
from taskmesh.replication.seek import ask_time, seek_view
from taskmesh.replication.view import UP

if TYPE_CHECKING:
    from taskmesh.core.steps import Session, Steps
    from taskmesh.nodes.async_mesh_driver import AsyncMeshDriver
    from taskmesh.replication.founding import Making
    from taskmesh.replication.seek import Sought
    from taskmesh.replication.standing import Standing
    from taskmesh.replication.view import View

T = TypeVar("T")

log = logging.getLogger("taskmesh")

#: How often those who cannot be heard have a newer view looked for, and how long that may take.
LOOK_AGAIN_S, LOOK_S = 0.5, 1.0


@dataclass(frozen=True, slots=True)
class Learned:
    """A view, and how it was learned.

    Attributes:
        view: The view.
        by: A node that obeys it.
        is_new: Whether it is the first, and was made just now.
    """

    view: View
    by: str
    is_new: bool


class Several:
    """The nodes of one mesh.

    A node has the id that the view gives it. Whoever must speak with a node that is no member, or as yet none, names
    it by its address; then whichever process answers there is spoken with, and else only the one that was admitted.

    Attributes:
        seeds: The addresses from which the others are learned, by their names; in the same order for all: that of
            their names, or, of embedded ones, that in which the folder of the mesh has them.
        standing: The view; None until it is known.
        driver: Runs conversations whose calls name their nodes.
        answer_timeout_s: How long a node may take to answer.
    """

    def __init__(
        self,
        addresses: Sequence[NodeAddress],
        *,
        connect_timeout_s: float,
        answer_timeout_s: float,
        name: str,
        before_each: Callable[[NodeAddress], None] | None = None,
        durability: str = "memory",
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            addresses: At least one, with passwords.
            connect_timeout_s: For making a connection.
            answer_timeout_s: For one reply.
            name: Shown in the nodes' `CLIENT LIST`.
            before_each: Called before each new connection with where that leads.
            durability: What their data is to survive, where the first view is made of them.
        """
        self._durability = durability
        ordered = addresses if all(each.embedded for each in addresses) else sorted(addresses, key=str)
        self.seeds = {str(address): address for address in ordered}
        self.standing: Standing | None = None
        self.answer_timeout_s = answer_timeout_s
        self.driver = MeshDriver(
            self.place,
            connect_timeout_s=connect_timeout_s,
            answer_timeout_s=answer_timeout_s,
            name=name,
            before_connect=None if before_each is None else lambda node: before_each(self.place(node)[0]),
        )
        self._async_driver: AsyncMeshDriver | None = None
        self._looking = threading.Lock()
        self._looked_at_s = -LOOK_AGAIN_S
        self._places: tuple[View | None, dict[str, Place]] = (None, {})
        self._drivers: dict[str, SpreadDriver] = {}
        self._async_drivers: dict[str, AsyncSpreadDriver] = {}

    @property
    def nodes(self) -> tuple[str, ...]:
        """The ids of the nodes that can be used; before the view is known, the names of those that were given."""
        return self.standing.view.nodes if self.standing is not None else tuple(self.seeds)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where those nodes are: as names of calls they mean whichever process answers there, admitted or not."""
        if self.standing is None:
            return tuple(self.seeds)
        return tuple(member.address for member in self.standing.view.members if member.state == UP)

    def ask_each(
        self, make: Callable[[], Steps[T]], within_s: float | None = None, without: Collection[str] = ()
    ) -> list[T]:
        """Ask each node by itself, whichever process answers there, and return what those say that answer.

        For what must be known before any of them is admitted: after a restart of everything all wait for a leader, who
        must find out where to stand for election.

        Args:
            make: Makes the protocol.
            within_s: How long each may take; None for as long as it takes.
            without: Addresses of nodes that need not be asked, unless these are all.

        Raises:
            NodeUnavailable: None answers.
        """
        found: list[T] = []
        failed: NodeUnavailable | None = None
        for address in [each for each in self.addresses if each not in without] or self.addresses:
            try:
                found.append(self.driver.run(pin(make(), address), within_s=within_s))
            except NodeUnavailable as error:
                failed = error
        if not found and failed is not None:
            raise failed
        return found

    def place(self, node: str) -> Place:
        """Return where a node is, and which process is meant there; None for whichever answers.

        Raises:
            NodeUnavailable: The view knows no such node.
        """
        view = self.standing.view if self.standing is not None else None
        known, places = self._places
        if view is not known:
            places = {}
            self._places = (view, places)
        place = places.get(node)
        if place is None:
            place = places[node] = self._find(node, view)
        return place

    def _find(self, node: str, view: View | None) -> Place:
        member = view.member(node) if view is not None else None
        if member is not None:
            return self._with_password(member.address), member.run_id.encode()
        if "://" in node:
            return self._with_password(node), None
        raise NodeUnavailable(
            f"view {view.number if view else 0} knows no node {node}", node=node, may_be_done=False
        )

    def _with_password(self, url: str) -> NodeAddress:
        """Return an address as the view has it with what the user gave to get in: nodes of a mesh are alike."""
        address = NodeAddress(url)
        given = self.seeds.get(str(address))
        if given is not None:
            return given
        parts = urlsplit(url)
        for seed in self.seeds.values():
            alike = urlsplit(seed.url)
            if alike.scheme == parts.scheme:
                login, at, _ = alike.netloc.rpartition("@")
                netloc = parts.netloc if "@" in parts.netloc else login + at + parts.netloc
                query = parts.query or alike.query
                # by hand: `urlunsplit` leaves out the slashes of unix:///path, which has no host
                url = f"{parts.scheme}://{netloc}{parts.path}{'?' if query else ''}{query}"
                return replace(address, url=url, embedded=seed.embedded)
        return address

    def learn(
        self, making: Callable[[Sequence[str]], Making], prefix: bytes, within_s: float | None
    ) -> Learned:
        """Return the view; the first one is made if there is none.

        Args:
            making: Tells of what a mesh of these nodes is made.
            prefix: Of its keys.
            within_s: How long the caller has; None for as long as it takes.

        Raises:
            NodeUnavailable: No node answers; or not all, where the first view is to be made; or this process has known
                a mesh there of which nobody knows any more.
            ConfigError: They belong to different meshes; or one cannot be a node, where the first view is to be made.
        """
        from taskmesh.nodes.fit_nodes import refuse_unfit
        from taskmesh.replication.founding import found

        nodes = tuple(self.seeds)
        beside = known_members.beside(prefix, nodes)
        sought = self.driver.run(seek_view(prefix, (*nodes, *beside)), within_s=within_s)
        if sought.stranger:
            raise ConfigError(
                f"the nodes {sought.by} and {sought.stranger} belong to different meshes of this name: name nodes of "
                "one mesh; if the other is meant to join it, empty it (FLUSHALL) and add it by `taskmesh nodes add`",
                setting="nodes",
            )
        if sought.view is not None:
            return Learned(sought.view, sought.by, is_new=False)
        if not sought.answered:
            raise NodeUnavailable(
                f"no node answers: {'; '.join(sought.failures)}",
                node=nodes[0],
                may_be_done=False,
                lasts=sought.lasts,
            )

        if beside:
            raise NodeUnavailable(
                f"{', '.join(nodes)} belonged to a mesh with {', '.join(beside)}, and nobody who answers knows it any "
                "more. No second mesh is made in its place: start the other servers again, with their disks; if all "
                "is lost for good, start this process anew",
                node=nodes[0],
                may_be_done=False,
            )
        refuse_unfit(self.driver, nodes, self._durability, within_s)
        view = self.driver.run(found(prefix, making(nodes)), within_s=within_s)
        return Learned(view, view.members[0].address, is_new=True)

    def begin(self, view: View, session: Session, *, home: str = "") -> None:
        """Go by a view from now on, and by each newer one that is heard of.

        Args:
            view: The view.
            session: Of the mesh; its epoch follows the view.
            home: The node that was the only one; see `Standing`.
        """
        from taskmesh.replication.standing import Standing

        prefix = session.prefix
        self.standing = Standing(
            view,
            session,
            lambda newer: known_members.remember(prefix, known_members.addresses_of(newer)),
            home=home,
        )
        known_members.remember(prefix, known_members.addresses_of(view))

    def take_session(self, session: Session) -> None:
        """Have another session follow the view."""
        standing = self.standing
        if standing is not None:
            standing.session = session
            session.slots, session.epoch = standing.view.slots, standing.view.epoch

    def look_beyond(self) -> None:
        """Ask also those nodes for a newer view that were not named.

        Those that were named may have left the mesh, and not have heard what became of it since.
        """
        standing = self.standing
        if standing is None or set(self.seeds).issuperset(self.addresses):
            return
        try:
            self._take(
                standing, self.driver.run(seek_view(standing.session.prefix, self.nodes), within_s=LOOK_S)
            )
        except TaskMeshError as error:
            log.debug("cannot look for a newer view: %s", error)

    def newest(self, standing: Standing, within_s: float | None = None) -> View:
        """Ask the nodes for a newer view, go by it if there is one, and return the view that counts.

        Where no majority answers of the servers that this process knows as admitted, whoever answers in their places is
        asked: they may have been started anew, and admitted since.

        Args:
            standing: That this process goes by.
            within_s: How long the caller has; None for as long as it takes.
        """
        prefix = standing.session.prefix
        sought = self.driver.run(seek_view(prefix, self.nodes), within_s=within_s)
        self._take(standing, sought)
        if len(sought.answered) <= len(self.nodes) // 2:
            sought = self.driver.run(seek_view(prefix, self.addresses), within_s=within_s)
            self._take(standing, sought)
        return standing.view

    def look_for_newer(self) -> None:
        """Ask whoever answers at the nodes' addresses for a newer view, and go by it; once for all who come at once.

        For those who only listen: whoever asks anything is told that his view is old, but a connection that cannot be
        made tells nothing. When all servers were started anew, none of them is spoken with by its id before that.
        """
        with self._looking:
            standing = self._due_to_look()
            if standing is None:
                return
            try:
                sought = self.driver.run(seek_view(standing.session.prefix, self.addresses), within_s=LOOK_S)
            except TaskMeshError as error:
                log.debug("cannot look for a newer view: %s", error)
            else:
                self._take(standing, sought)
            self._looked_at_s = time.monotonic()

    async def look_for_newer_async(self) -> None:
        """As `look_for_newer`, in an event loop; who comes while another asks does not wait for what that hears."""
        standing = self._due_to_look()
        if standing is None:
            return
        self._looked_at_s = time.monotonic()
        steps = seek_view(standing.session.prefix, self.addresses)
        try:
            sought = await self.async_driver.run(steps, within_s=LOOK_S)
        except TaskMeshError as error:
            log.debug("cannot look for a newer view: %s", error)
        else:
            self._take(standing, sought)

    def _due_to_look(self) -> Standing | None:
        return self.standing if time.monotonic() >= self._looked_at_s + LOOK_AGAIN_S else None

    @staticmethod
    def _take(standing: Standing, sought: Sought) -> None:
        if sought.view is not None:
            standing.take(sought.view)

    def time_s(self, prefix: bytes, within_s: float | None) -> float:
        """Return the clock of whichever node answers first, in seconds since 1970.

        Raises:
            NodeUnavailable: None answers.
        """
        # by their addresses: also a process that waits to be admitted knows the time, and all may do that
        told = self.driver.run(ask_time(prefix, self.addresses), within_s=within_s)
        if isinstance(told, str):
            raise NodeUnavailable(f"no node tells the time: {told}", node=prefix.decode(), may_be_done=False)
        return told

    def driver_at(self, node: str) -> SpreadDriver:
        """Return what runs protocols at a node, or, without one, where the view says."""
        driver = self._drivers.get(node)
        if driver is None:
            driver = self._drivers[node] = SpreadDriver(self, node)
        return driver

    @property
    def async_driver(self) -> AsyncMeshDriver:
        """Runs conversations in event loops."""
        if self._async_driver is None:
            from taskmesh.nodes.async_mesh_driver import AsyncMeshDriver

            self._async_driver = AsyncMeshDriver(self.driver, answer_timeout_s=self.answer_timeout_s)
        return self._async_driver

    def async_driver_at(self, node: str) -> AsyncSpreadDriver:
        """As `driver_at`, for event loops."""
        driver = self._async_drivers.get(node)
        if driver is None:
            driver = self._async_drivers[node] = AsyncSpreadDriver(self, node)
        return driver

    def close(self) -> None:
        """Close the connections; they are made anew when needed."""
        self.driver.close()
        if self._async_driver is not None:
            self._async_driver.close()

    def forked(self) -> None:
        """Leave to the parent process what is its."""
        self._async_driver = None
        self._looking = threading.Lock()
