"""Drivers that run protocols, each written for one node, on a mesh of several."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from taskmesh.core.steps import Reply, Steps
from taskmesh.errors import NodeUnavailable, TaskMeshError
from taskmesh.nodes.address import NodeAddress
from taskmesh.replication.pin import pin
from taskmesh.replication.spread import spread

if TYPE_CHECKING:
    from redis.connection import AbstractConnection

    from taskmesh.nodes.async_connection import AsyncConnection
    from taskmesh.nodes.several import Several
    from taskmesh.replication.away import Away

T = TypeVar("T")


class _OnNodes:
    """What both drivers know: the nodes, and where calls go that name none."""

    def __init__(self, several: Several, node: str = "") -> None:
        """Prepare.

        Args:
            several: The nodes.
            node: Where calls go that name none; empty: where the view says.
        """
        self._several = several
        self._node = node

    @property
    def address(self) -> NodeAddress:
        """Where the node is; without one, the first of all."""
        several = self._several
        return several.place(self._node or several.nodes[0])[0]


class SpreadDriver(_OnNodes):
    """Runs protocols on the nodes of a mesh, or on one of them, as a `SyncDriver` does on its one node."""

    def run(self, steps: Steps[T], *, within_s: float | None = None) -> T:
        """Run a protocol to its end and return its result.

        Args:
            steps: The protocol.
            within_s: How long the caller has, as for `SyncDriver.run`.
        """
        several = self._several
        standing = several.standing
        if standing is None:
            return several.driver.run(pin(steps, self._node or several.nodes[0]), within_s=within_s)
        if within_s is None:
            return several.driver.run(spread(steps, standing, self._node))
        until_s = time.monotonic() + within_s
        return several.driver.run(
            spread(steps, standing, self._node, lambda: time.monotonic() < until_s), within_s=within_s
        )

    def look(self, steps: Steps[T], away: Away) -> T:
        """Run a protocol that changes nothing, and tell it what the others say where some nodes do not answer.

        Args:
            steps: The protocol.
            away: Who is not asked, since it did not answer before; who does not answer now is noted there.
        """
        several = self._several
        standing = several.standing
        if standing is None:
            raise NodeUnavailable("the mesh has not been joined", node=str(self.address), may_be_done=False)
        return several.driver.run(spread(steps, standing, self._node, away=away))

    def connect(self, within_s: float | None = None) -> AbstractConnection:
        """Return a new connected connection to the node; without one, to the first that can be reached.

        Args:
            within_s: As for `SyncDriver.connect`.
        """
        from redis.exceptions import RedisError

        several = self._several
        if self._node:
            return several.driver.connect(self._node, within_s)
        *others, last = several.nodes
        for node in others:
            try:
                return several.driver.connect(node, within_s)
            except (RedisError, OSError, EOFError, TaskMeshError):
                continue  # the last one says why
        return several.driver.connect(last, within_s)

    def close(self) -> None:
        """Close idle connections to all nodes; the driver can still be used, and connects anew."""
        self._several.driver.close()


class AsyncSpreadDriver(_OnNodes):
    """As `SpreadDriver`, in event loops."""

    @property
    def answer_timeout_s(self) -> float:
        """How long one reply may take."""
        return self._several.answer_timeout_s

    async def run(self, steps: Steps[T], *, within_s: float | None = None) -> T:
        """Run a protocol to its end and return its result.

        Args:
            steps: The protocol.
            within_s: How long the caller has, as for `SyncDriver.run`.
        """
        several = self._several
        driver, standing = several.async_driver, several.standing
        if standing is None:
            raise NodeUnavailable("the mesh has not been joined", node=str(self.address), may_be_done=False)
        if within_s is None:
            return await driver.run(spread(steps, standing, self._node))
        now_s = asyncio.get_running_loop().time
        until_s = now_s() + within_s
        return await driver.run(
            spread(steps, standing, self._node, lambda: now_s() < until_s), within_s=within_s
        )

    async def connect(
        self, on_reply: Callable[[Reply], None], on_lost: Callable[[str], None]
    ) -> AsyncConnection:
        """Return a new connection to the node; without one, to the first that can be reached.

        Raises:
            Exception: One of `CONNECT_FAILURES`.
        """
        from taskmesh.nodes.async_driver import CONNECT_FAILURES

        driver = self._several.async_driver
        if self._node:
            return await driver.at(self._node).connect(on_reply, on_lost)
        *others, last = self._several.nodes
        for node in others:
            try:
                return await driver.at(node).connect(on_reply, on_lost)
            except CONNECT_FAILURES:
                continue  # the last one says why
        return await driver.at(last).connect(on_reply, on_lost)

    def close(self) -> None:
        """Close all connections to all nodes; the driver can still be used, and connects anew."""
        self._several.async_driver.close()
