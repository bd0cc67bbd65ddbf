"""What a link does when the only node of its mesh becomes one of several: by its own doing, or another's."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from taskmesh.config.nodes import COPIES_UNLESS_SAID
from taskmesh.core import keys
from taskmesh.nodes.sync_driver import SyncDriver
from taskmesh.replication.ask import plain
from taskmesh.replication.view import OBEYS, WAITS

if TYPE_CHECKING:
    from taskmesh.core.steps import Session, Steps
    from taskmesh.nodes.address import NodeAddress
    from taskmesh.nodes.drivers import Driver, LoopDriver
    from taskmesh.nodes.several import Several
    from taskmesh.replication.founding import Making
    from taskmesh.replication.view import View

log = logging.getLogger("taskmesh")


class GrowingLink(ABC):
    """The part of a link by which it goes from one node to several while it is used.

    Attributes:
        mesh: Name of the mesh.
        prefix: Of its keys.
        session: What is believed of it.
    """

    mesh: str
    prefix: bytes
    session: Session
    _driver: Driver | None
    _async_driver: LoopDriver | None
    _several: Several | None
    _outgrown: list[Driver | LoopDriver]
    _open_lock: threading.RLock
    _replicas: int | None

    @abstractmethod
    def open(self, within_s: float | None = None) -> Any:
        """Join the mesh."""

    @abstractmethod
    def run(self, steps: Steps[Any], *, within_s: float | None = None) -> Any:
        """Run a protocol."""

    @property
    @abstractmethod
    def driver(self) -> Driver:
        """The driver."""

    @property
    @abstractmethod
    def async_driver(self) -> LoopDriver:
        """The driver for event loops."""

    @abstractmethod
    def _make_several(self, addresses: Sequence[NodeAddress]) -> Several: ...

    @abstractmethod
    def _make_registers(self) -> None: ...

    @abstractmethod
    def _making(self, nodes: Sequence[str]) -> Making: ...

    def become_several(self) -> None:
        """Make the only node the first of several, with all that it holds; nothing where it is one of them already.

        Whoever speaks with it goes on, see `growing.py`.

        Raises:
            NodeUnavailable: It does not answer.
        """
        self.open()
        if self._several is None:
            self._follow_several(None, makes=True)

    def notice_several(self, within_s: float | None = None) -> None:
        """Read the epoch of the only node again: it may be one of several by now.

        Raises:
            NodeUnavailable: It does not answer.
        """
        self.open(within_s)
        if self._several is not None:
            return
        epoch = self.run(plain(self.session, b"GET", keys.epoch(self.prefix)), within_s=within_s)
        if epoch is not None and epoch[:1] in (OBEYS, WAITS):
            self._follow_several(within_s)

    def _follow_several(self, within_s: float | None, *, makes: bool = False) -> Driver:
        """Go by the view of which the only node is a member; return the driver that does.

        Raises:
            NodeUnavailable: It is not known yet.
        """
        from taskmesh.nodes.growing import learn_others

        with self._open_lock:
            alone = self._driver
            if self._several is None and isinstance(alone, SyncDriver):
                several = self._make_several([alone.address])
                learned, home = learn_others(
                    several, self.session, self._making_of_one, within_s, makes=makes
                )
                self._be_succeeded(alone, several, learned.view, home)
                several.look_beyond()
                log.info("mesh %r has several nodes from now on; this process goes by their view", self.mesh)
                if learned.is_new:
                    self._make_registers()
            return self.driver

    def _be_succeeded(self, alone: SyncDriver, several: Several, view: View, home: str) -> None:
        """Have everything go by a view, also what is under way in other threads."""
        from taskmesh.nodes.growing import have_succeed

        follow = have_succeed(alone, several, view, self.session, home)
        self._outgrown.append(alone)
        if self._async_driver is not None:
            from taskmesh.nodes.async_driver import AsyncDriver

            if isinstance(self._async_driver, AsyncDriver):
                self._async_driver.succeeded_by(several.async_driver_at(""))
            self._outgrown.append(self._async_driver)
            self._async_driver = several.async_driver_at("")
        self._several, self._driver = several, several.driver_at("")
        follow()

    def _making_of_one(self, nodes: Sequence[str]) -> Making:
        return replace(self._making(nodes), replicas=self.copies_of_several)

    @property
    def copies_of_several(self) -> int:
        """How many copies of each message are wanted once the only node has become one of several."""
        return self._replicas or COPIES_UNLESS_SAID

    @property
    def home(self) -> str:
        """The node that was the only one when this process joined the mesh, if it was; else empty."""
        several = self._several
        return several.standing.home if several is not None and several.standing is not None else ""

    def _follow_several_async(self) -> LoopDriver:
        self._follow_several(None)
        return self.async_driver
