"""A process's link to its mesh: the driver, the session, the measured clock, the signers.

Connects when first used. After a fork the child's link connects anew, under a new channel.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from taskmesh.codec.keyring import Keyring
from taskmesh.codec.signing import Signer
from taskmesh.core import keys
from taskmesh.core.steps import Session, Steps
from taskmesh.errors import NodeFault, NodeUnavailable
from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.sync_driver import SyncDriver, run_id_of
from taskmesh.replication.ask import plain
from taskmesh.replication.join import Meta, embedded_generation, join

if TYPE_CHECKING:
    from taskmesh.nodes.async_driver import AsyncDriver

T = TypeVar("T")
log = logging.getLogger("taskmesh")

#: A caller who may wait for longer than this is told at once for what.
TELL_S = 1.0
#: How long to leave a node alone that could not be reached.
AGAIN_S = 0.1
#: The nodes of a mesh that has one.
ONE_NODE = ("",)

_links: weakref.WeakSet[Link] = weakref.WeakSet()


class NodeClock:
    """The node's wall clock as measured, advanced by this process's monotonic clock; never goes back."""

    __slots__ = ("_last_ms", "_offset_s")

    def __init__(self) -> None:
        """Start from this machine's own wall clock until the node's is measured."""
        self._offset_s = time.time() - monotonic()
        self._last_ms = 0

    def now_ms(self) -> int:
        """Return milliseconds since 1970."""
        now = int((monotonic() + self._offset_s) * 1000)
        if now < self._last_ms:
            return self._last_ms
        self._last_ms = now
        return now

    def measured(self, node_time_s: float, asked_s: float, answered_s: float) -> None:
        """Take over a reading of the node's clock, made between two readings of the monotonic one."""
        self._offset_s = node_time_s - (asked_s + answered_s) / 2


class Link:
    """Everything that one process needs to speak with one mesh.

    Attributes:
        patience_s: How long those who `ask` wait for the node, unless they say so themselves.
        tells_restarts: Whether to say in the log that a server of the user's own was started anew; the children of a
            worker leave it to their supervisor.
    """

    def __init__(
        self,
        mesh: str,
        address: Callable[[], NodeAddress],
        keyring: Callable[[], Keyring],
        *,
        slots: int,
        connect_timeout_s: float = 2.0,
        answer_timeout_s: float = 10.0,
        patience_s: float = 10.0,
        before_connect: Callable[[], None] | None = None,
    ) -> None:
        """Prepare; nothing is started, read or connected yet.

        Args:
            mesh: Name of the mesh.
            address: Returns the node's address (starts the embedded node if need be).
            keyring: Returns the keys.
            slots: For a mesh that is made now.
            connect_timeout_s: For making a connection.
            answer_timeout_s: For one reply.
            patience_s: How long those who `ask` wait for the node, unless they say so themselves.
            before_connect: Called before each new connection.
        """
        self.mesh = mesh
        self.patience_s = patience_s
        self.prefix = keys.prefix(mesh)
        self._address = address
        self._keyring = keyring
        self._timeouts = (connect_timeout_s, answer_timeout_s)
        self._before_connect = before_connect
        self.clock = NodeClock()
        self.session = Session(self.prefix, b"", slots, self.clock.now_ms)
        self.channel = os.urandom(8).hex().encode()
        self.meta: Meta | None = None
        self.tells_restarts = True
        self._driver: SyncDriver | None = None
        self._async_driver: AsyncDriver | None = None
        self._open_lock = threading.RLock()
        _links.add(self)

    @property
    def is_open(self) -> bool:
        """Whether the mesh has been joined."""
        return self.meta is not None

    @property
    def driver(self) -> SyncDriver:
        """The driver; made when first asked for."""
        if self._driver is None:
            with self._open_lock:
                if self._driver is None:
                    self._driver = SyncDriver(
                        self._address(),
                        connect_timeout_s=self._timeouts[0],
                        answer_timeout_s=self._timeouts[1],
                        name=f"taskmesh-{self.mesh}",
                        before_connect=self._before_connect,
                    )
        return self._driver

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
        self.measure_clock(within_s)
        self.meta = driver.run(
            join(
                self.session,
                mesh_id=os.urandom(8).hex(),
                slots=self.session.slots,
                key_id=self.key_id,
            ),
            within_s=_left_s(deadline_s),
        )
        if not embedded_generation(self.session.epoch):
            self._watch_server(driver, _left_s(deadline_s))

    # -- the nodes of a mesh ------------------------------------------------------

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of the nodes that can be used; one without a name where there is but one."""
        return ONE_NODE

    def at(self, node: str) -> Link:
        """Return the link to one node: what says no node of its own goes there.

        Args:
            node: One of `nodes`.
        """
        del node
        return self

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

    # -- in event loops -----------------------------------------------------------

    @property
    def async_driver(self) -> AsyncDriver:
        """The driver for event loops. The mesh must have been joined, since that may block."""
        if self._async_driver is None:
            from taskmesh.nodes.async_driver import AsyncDriver

            with self._open_lock:
                if self._async_driver is None:
                    self._async_driver = AsyncDriver(self.driver, answer_timeout_s=self._timeouts[1])
        return self._async_driver

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
        seconds, micros = self.driver.run(plain(self.session, b"TIME"), within_s=within_s)
        self.clock.measured(int(seconds) + int(micros) / 1e6, asked_s, time.monotonic())

    def close(self) -> None:
        """Close idle connections. The link can be used again."""
        if self._driver is not None:
            self._driver.close()
        if self._async_driver is not None:
            self._async_driver.close()

    def _forked(self) -> None:
        # a lock may have been held by a thread that does not exist here; sockets are the parent's
        self._open_lock = threading.RLock()
        self._async_driver = None
        self.channel = os.urandom(8).hex().encode()


def _left_s(deadline_s: float | None) -> float | None:
    """Return how long it is until a moment of the monotonic clock; None if there is none."""
    return None if deadline_s is None else deadline_s - time.monotonic()


def _after_fork() -> None:
    for link in list(_links):
        link._forked()  # noqa: SLF001 - this module's own


os.register_at_fork(after_in_child=_after_fork)
