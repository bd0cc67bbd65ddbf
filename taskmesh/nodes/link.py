"""A process's link to its mesh: the driver, the session, the measured clock, the signers.

Connects when first used. After a fork the child's link connects anew, under a new channel.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, TypeVar

from taskmesh.codec.keyring import Keyring
from taskmesh.codec.signing import Signer
from taskmesh.config.nodes import copies
from taskmesh.core import keys
from taskmesh.core.steps import Session, Steps
from taskmesh.errors import InvariantBroken, NodeFault, NodeUnavailable
from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.drivers import Driver, LoopDriver
from taskmesh.nodes.growing_link import GrowingLink
from taskmesh.nodes.known_members import beside
from taskmesh.nodes.node_clock import NodeClock
from taskmesh.nodes.sync_driver import SyncDriver, run_id_of
from taskmesh.replication.ask import plain
from taskmesh.replication.join import Meta, embedded_generation, join
from taskmesh.replication.pin import pin
from taskmesh.replication.view import OBEYS, WAITS

if TYPE_CHECKING:
    from taskmesh.nodes.several import Several
    from taskmesh.replication.founding import Making
    from taskmesh.replication.view import View

T = TypeVar("T")
log = logging.getLogger("taskmesh")

#: A caller who may wait for longer than this is told at once for what.
TELL_S = 1.0
#: How long to leave a node alone that could not be reached.
AGAIN_S = 0.1
#: How long one node of many may take to answer: others may take its place.
MANY_ANSWER_S = 2.0
#: The nodes of a mesh that has one.
ONE_NODE = ("",)

_links: weakref.WeakSet[Link] = weakref.WeakSet()


class Link(GrowingLink):
    """Everything that one process needs to speak with one mesh.

    Attributes:
        patience_s: How long those who `ask` wait for the node, unless they say so themselves.
        tells_restarts: Whether to say in the log that a server of the user's own was started anew, or that the mesh
            has another number of copies; the children of a worker leave it to their supervisor.
    """

    def __init__(
        self,
        mesh: str,
        addresses: Callable[[], Sequence[NodeAddress]],
        keyring: Callable[[], Keyring],
        *,
        slots: int,
        connect_timeout_s: float = 2.0,
        answer_timeout_s: float = 10.0,
        patience_s: float = 10.0,
        before_connect: Callable[[], None] | None = None,
        before_each: Callable[[NodeAddress], None] | None = None,
        replicas: int | None = None,
        acceptors: Sequence[str] = (),
        durability: str = "memory",
    ) -> None:
        """Prepare; nothing is started, read or connected yet.

        Args:
            mesh: Name of the mesh.
            addresses: Returns where the nodes are (starts embedded ones if need be); of a mesh of many that exists
                one is enough.
            keyring: Returns the keys.
            slots: For a mesh that is made now.
            connect_timeout_s: For making a connection.
            answer_timeout_s: For one reply.
            patience_s: How long those who `ask` wait for the node, unless they say so themselves.
            before_connect: Called before each new connection, where there is one node.
            before_each: Called before each new connection to one node of many, with where it leads.
            replicas: For a mesh of many that is made now: of how many nodes each message has a record; None for as
                many as there are nodes, three at most.
            acceptors: Of a mesh of many that is made now: URLs of servers that hold its registers; none: its own nodes.
            durability: For a mesh of many that is made now: what its nodes' data is to survive; those that were
                started for it survive what they were told to, so that nothing is asked of them.
        """
        self.mesh = mesh
        self.patience_s = patience_s
        self.prefix = keys.prefix(mesh)
        self._keyring = keyring
        self._timeouts = (connect_timeout_s, answer_timeout_s)
        self._before_connect = before_connect
        self.clock = NodeClock()
        self.session = Session(self.prefix, b"", slots, self.clock.now_ms)
        self.channel = os.urandom(8).hex().encode()
        self.meta: Meta | None = None
        self.tells_restarts = True
        self._addresses = addresses
        self._before_each = before_each
        self._replicas = replicas
        self._acceptors = acceptors
        self._durability = durability
        self._driver: Driver | None = None
        self._async_driver: LoopDriver | None = None
        self._several: Several | None = None
        self._outgrown: list[Driver | LoopDriver] = []
        self._at: dict[str, Link] = {}
        self._open_lock = threading.RLock()
        _links.add(self)

    @property
    def is_open(self) -> bool:
        """Whether the mesh has been joined."""
        return self.meta is not None

    @property
    def driver(self) -> Driver:
        """The driver; made when first asked for."""
        if self._driver is None:
            with self._open_lock:
                if self._driver is None:
                    self._driver = self._make_driver()
        return self._driver

    def _make_driver(self) -> Driver:
        addresses = self._addresses()
        if len(addresses) > 1 or beside(self.prefix, [str(addresses[0])]):
            return self._go_to_several(addresses)
        driver = SyncDriver(
            addresses[0],
            connect_timeout_s=self._timeouts[0],
            answer_timeout_s=self._timeouts[1],
            name=f"taskmesh-{self.mesh}",
            before_connect=self._before_connect,
        )
        driver.when_of_several(self._follow_several)
        return driver

    def _go_to_several(self, addresses: Sequence[NodeAddress]) -> Driver:
        self._several = self._make_several(addresses)
        return self._several.driver_at("")

    def _make_several(self, addresses: Sequence[NodeAddress]) -> Several:
        from taskmesh.nodes.several import Several

        return Several(
            addresses,
            connect_timeout_s=self._timeouts[0],
            answer_timeout_s=min(self._timeouts[1], MANY_ANSWER_S),
            name=f"taskmesh-{self.mesh}",
            before_each=self._before_each,
            durability=self._durability,
        )

    def open(self, within_s: float | None = None) -> Link:
        """Join the mesh, unless that is done: check key and format, learn the epoch and the node's time.

        Args:
            within_s: How long the caller has; None for as long as it takes.

        Raises:
            ConfigError: No usable key, or `KeyMismatch`, `UpgradeNeeded`.
            NodeUnavailable: The node cannot be reached.
        """
        if self.meta is None:
            lock = self._open_lock
            if not lock.acquire(timeout=-1 if within_s is None else max(0.0, within_s)):
                raise NodeUnavailable(
                    f"another thread did not reach the node within {within_s:g} s", node=self.mesh
                )
            try:
                if self.meta is None:
                    self._join(within_s)
            finally:
                lock.release()
        return self

    def _join(self, within_s: float | None) -> None:
        keyring = self._keyring()
        self.messages = keyring.signer("message", self.mesh)
        self.results = keyring.signer("result", self.mesh)
        self.controls = keyring.signer("control", self.mesh)
        self.functions = keyring.signer("function", self.mesh)
        self.reports = keyring.signer("report", self.mesh)
        self.tellings = keyring.signer("telling", self.mesh)
        self.registers = keyring.signer("register", self.mesh)
        self.key_id = keyring.active.name
        driver = self.driver
        deadline_s = None if within_s is None else time.monotonic() + within_s
        if self._several is not None:
            self._join_several(self._several, deadline_s)
            return
        self.measure_clock(within_s)
        meta = driver.run(self._joining(), within_s=_left_s(deadline_s))
        if self.session.epoch[:1] in (OBEYS, WAITS):
            # the one that was named is one of many
            driver.close()
            self._driver = self._go_to_several([driver.address])
            self._join(_left_s(deadline_s))
            return
        self.meta = meta
        if isinstance(driver, SyncDriver) and not embedded_generation(self.session.epoch):
            self._watch_server(driver, _left_s(deadline_s))

    def _joining(self) -> Steps[Meta]:
        session = self.session
        return join(session, mesh_id=os.urandom(8).hex(), slots=session.slots, key_id=self.key_id)

    def _join_several(self, several: Several, deadline_s: float | None) -> None:
        """Learn the view from nodes that are known by their addresses, at least one; have the first one made."""
        learned = several.learn(self._making, self.prefix, _left_s(deadline_s))
        # before the view counts for this process: a node in it may be away, and this one has just answered
        meta = several.driver.run(pin(self._joining(), learned.by), within_s=_left_s(deadline_s))
        several.begin(learned.view, self.session)
        several.look_beyond()
        self.measure_clock(_left_s(deadline_s))
        self.meta = meta
        self._tell_of_other_copies(learned.view)
        if learned.is_new:
            self._make_registers()

    def _make_registers(self) -> None:
        from taskmesh.nodes.first_registers import make_registers

        make_registers(self, self._acceptors)

    def _tell_of_other_copies(self, view: View) -> None:
        if self._replicas in (None, view.replicas):
            return
        log.log(
            logging.WARNING if self.tells_restarts else logging.DEBUG,
            "mesh %r was made with replicas=%d and keeps that number, whatever this process asks for: replicas=%d has "
            "no effect; set what the mesh has, or leave it out",
            self.mesh,
            view.replicas,
            self._replicas,
        )

    def _making(self, nodes: Sequence[str]) -> Making:
        from taskmesh.replication.founding import Making

        return Making(
            addresses=nodes,
            slots=self.session.slots,
            replicas=copies(self._replicas, len(nodes)),
            mesh_id=os.urandom(8).hex(),
            key_id=self.key_id,
            now_ms=self.clock.now_ms(),
            new_instance=lambda: os.urandom(8).hex(),
        )

    # -- the nodes of a mesh ------------------------------------------------------

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the nodes that can be used; one without a name where there is but one."""
        return ONE_NODE if self._several is None else self._several.nodes

    @property
    def view(self) -> View | None:
        """The view of a mesh of many nodes, as far as this process knows it; None where there is but one."""
        several = self._several
        return several.standing.view if several is not None and several.standing is not None else None

    @property
    def several(self) -> Several | None:
        """The nodes of a mesh of many; None where there is but one."""
        return self._several

    def at(self, node: str) -> Link:
        """Return the link to one node: what says no node of its own goes there.

        Args:
            node: One of `nodes`.
        """
        several = self._several
        if several is None or not node:
            return self
        link = self._at.get(node)
        if link is None:
            from taskmesh.nodes.node_link import NodeLink

            link = self._at[node] = NodeLink(self, several, node)
        return link

    def reach(self, within_s: float | None = None) -> Link:
        """As `open`, but go on trying while the node is not there: it may be starting.

        Args:
            within_s: How long the caller has; None for the link's own patience.

        Raises:
            ConfigError, NodeUnavailable: As `open`.
        """
        patience_s = self.patience_s if within_s is None else within_s
        until_s = time.monotonic() + patience_s
        is_told = False
        if self._driver is None:
            _ = self.driver  # it may start the embedded node: what that fails by, waiting does not mend
        while self.meta is None:
            try:
                self.open(max(0.0, until_s - time.monotonic()))
            except NodeUnavailable as error:
                left_s = until_s - time.monotonic()
                if error.lasts or left_s <= 0:
                    raise
                if not is_told and left_s > TELL_S:
                    log.warning("%s; trying again for %.1f s", error, left_s)
                    is_told = True
                time.sleep(min(AGAIN_S, left_s))
        return self

    def _watch_server(self, driver: SyncDriver, within_s: float | None) -> None:
        """Have it noticed when a server of the user's own is started anew: unlike an embedded one it does not count."""
        try:
            run_id = run_id_of(driver.run(plain(self.session, b"INFO", b"server"), within_s=within_s))
        except NodeFault:
            return  # this user of the server may not ask
        if run_id:
            driver.watch_server(run_id, self._server_began_anew)

    def _server_began_anew(self) -> None:
        log.log(
            logging.WARNING if self.tells_restarts else logging.DEBUG,
            "server %s of mesh %r was started anew. If it came back with older data than it had, messages that had "
            "ended may run once more, and what it accepted last may be gone. Outcomes that were heard stand; what is "
            "waited for is read again",
            self.driver.address,
            self.mesh,
        )

    messages: Signer
    results: Signer
    controls: Signer
    functions: Signer
    reports: Signer
    tellings: Signer
    registers: Signer
    key_id: str

    def ask(self, make: Callable[[float], Steps[T]], within_s: float | None = None) -> T:
        """Run a protocol for somebody who waits: joining, answers and trying again take no longer than he has.

        Args:
            make: Makes the protocol, one that may be repeated; it is told how many seconds are left for it.
            within_s: How long the caller has; None for the link's own patience.

        Raises:
            NodeUnavailable: The time was over.
        """
        until_s = time.monotonic() + (self.patience_s if within_s is None else within_s)
        if self.meta is None:
            self.reach(until_s - time.monotonic())
        while True:
            left_s = max(0.0, until_s - time.monotonic())
            try:
                return self.driver.run(make(left_s), within_s=left_s)
            except NodeUnavailable as error:
                # some protocols ask once only
                left_s = until_s - time.monotonic()
                if error.lasts or left_s <= 0:
                    raise
                time.sleep(min(AGAIN_S, left_s))

    def run(self, steps: Steps[T], *, within_s: float | None = None) -> T:
        """Run a protocol, after joining the mesh if that is not done.

        Args:
            steps: The protocol.
            within_s: How long the caller has; None for as long as it takes.
        """
        if self.meta is None:
            self.open(within_s)
        return self.driver.run(steps, within_s=within_s)

    def ask_each(
        self, make: Callable[[], Steps[T]], *, within_s: float | None = None, without: Collection[str] = ()
    ) -> list[T]:
        """Run a protocol at each node by itself, and return what those say that answer; see `Several.ask_each`.

        Args:
            make: Makes the protocol.
            within_s: How long each may take; None for as long as it takes.
            without: Addresses of nodes that need not be asked.

        Raises:
            NodeUnavailable: None answers.
        """
        self.open(within_s)
        several = self._several
        if several is None:
            return [self.run(make(), within_s=within_s)]
        return several.ask_each(make, within_s, without)

    # -- in event loops -----------------------------------------------------------

    @property
    def async_driver(self) -> LoopDriver:
        """The driver for event loops. The mesh must have been joined, since that may block."""
        if self._async_driver is None:
            with self._open_lock:
                if self._async_driver is None:
                    self._async_driver = self._make_async_driver()
        return self._async_driver

    def _make_async_driver(self) -> LoopDriver:
        driver = self.driver
        if isinstance(driver, SyncDriver):
            from taskmesh.nodes.async_driver import AsyncDriver

            alone = AsyncDriver(driver, answer_timeout_s=self._timeouts[1])
            alone.when_of_several(self._follow_several_async)
            return alone
        if self._several is None:
            raise InvariantBroken(f"{driver} speaks with nodes that nobody knows")
        return self._several.async_driver_at("")

    async def open_async(self) -> Link:
        """As `open`, in a thread: it may have to start the embedded node."""
        if self.meta is None:
            from taskmesh.nodes.async_thread import in_thread_once

            await in_thread_once(self.open)
        return self

    async def reach_async(self) -> Link:
        """As `reach`, in a thread, with the link's own patience."""
        if self.meta is None:
            from taskmesh.nodes.async_thread import in_thread_once

            await in_thread_once(self.reach)
        return self

    async def run_async(self, steps: Steps[T], *, within_s: float | None = None) -> T:
        """As `run`, in an event loop; joining the mesh takes as long as it takes."""
        if self.meta is None:
            await self.open_async()
        return await self.async_driver.run(steps, within_s=within_s)

    # -- the rest -----------------------------------------------------------------

    def measure_clock(self, within_s: float | None = None) -> None:
        """Measure the node's clock.

        Args:
            within_s: How long the caller has; None for as long as it takes.

        Raises:
            NodeUnavailable: The node does not answer.
        """
        asked_s = time.monotonic()
        several = self._several
        if several is not None:
            # that of any node: they are checked not to differ by much
            told = several.time_s(self.prefix, within_s)
            self.clock.measured(told, asked_s, time.monotonic())
            return
        seconds, micros = self.driver.run(plain(self.session, b"TIME"), within_s=within_s)
        self.clock.measured(int(seconds) + int(micros) / 1e6, asked_s, time.monotonic())

    def close(self) -> None:
        """Close idle connections. The link can be used again."""
        if self._driver is not None:
            self._driver.close()
        if self._async_driver is not None:
            self._async_driver.close()
        for driver in self._outgrown:
            driver.close()

    def _forked(self) -> None:
        # a lock may have been held by a thread that does not exist here; sockets are the parent's
        self._open_lock = threading.RLock()
        self._async_driver = None
        if self._several is not None:
            self._several.forked()
        self.channel = os.urandom(8).hex().encode()


def _left_s(deadline_s: float | None) -> float | None:
    """Return how long it is until a moment of the monotonic clock; None if there is none."""
    return None if deadline_s is None else deadline_s - time.monotonic()


def _after_fork() -> None:
    for link in list(_links):
        link._forked()  # noqa: SLF001 - this module's own


os.register_at_fork(after_in_child=_after_fork)
