"""What runs protocols, whether the mesh has one node or many."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from taskmesh.core.steps import Reply, Steps
from taskmesh.nodes.address import NodeAddress

if TYPE_CHECKING:
    from redis.connection import AbstractConnection

    from taskmesh.nodes.async_connection import AsyncConnection

T = TypeVar("T")


class Driver(Protocol):
    """Runs protocols, in any thread: `SyncDriver` on one node, `SpreadDriver` on a mesh of many."""

    @property
    def address(self) -> NodeAddress:
        """The node; on a mesh of many one of them, for people."""

    def run(self, steps: Steps[T], *, within_s: float | None = None) -> T:
        """Run a protocol to its end and return its result."""

    def connect(self, within_s: float | None = None) -> AbstractConnection:
        """Return a new connected connection, for those who keep one."""

    def close(self) -> None:
        """Close idle connections; the driver can still be used."""


class LoopDriver(Protocol):
    """Runs protocols in event loops: `AsyncDriver` on one node, `AsyncSpreadDriver` on a mesh of many."""

    @property
    def address(self) -> NodeAddress:
        """The node; on a mesh of many one of them, for people."""

    @property
    def answer_timeout_s(self) -> float:
        """How long one reply may take."""

    async def run(self, steps: Steps[T], *, within_s: float | None = None) -> T:
        """Run a protocol to its end and return its result."""

    async def connect(
        self, on_reply: Callable[[Reply], None], on_lost: Callable[[str], None]
    ) -> AsyncConnection:
        """Return a new connection, for those who keep one."""

    def close(self) -> None:
        """Close all connections; the driver can still be used."""
