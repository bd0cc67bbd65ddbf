"""The link to one node of a mesh of many."""

from __future__ import annotations

from typing import Any

from taskmesh.nodes.drivers import Driver, LoopDriver
from taskmesh.nodes.link import Link
from taskmesh.nodes.several import Several


class NodeLink(Link):
    """A link whose calls go to one node, unless they name another. All else it shares with the mesh's."""

    def __init__(
        self, link: Link, several: Several, node: str
    ) -> None:  # not that of a link: it opens nothing
        """Prepare.

        Args:
            link: That of the mesh.
            several: Its nodes.
            node: Which.
        """
        self._link = link
        self._nodes = several
        self.node = node

    def __getattr__(self, name: str) -> Any:
        return getattr(self._link, name)

    @property
    def driver(self) -> Driver:
        """The driver of the node."""
        return self._nodes.driver_at(self.node)

    @property
    def async_driver(self) -> LoopDriver:
        """The driver of the node for event loops."""
        return self._nodes.async_driver_at(self.node)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes of the mesh."""
        return self._link.nodes

    def at(self, node: str) -> Link:
        """Return the link to another node."""
        return self._link.at(node)

    def open(self, within_s: float | None = None) -> Link:
        """Join the mesh, as the mesh's link does it."""
        self._link.open(within_s)
        return self

    def reach(self, within_s: float | None = None) -> Link:
        """Join the mesh, as the mesh's link does it."""
        self._link.reach(within_s)
        return self

    async def open_async(self) -> Link:
        """Join the mesh, as the mesh's link does it."""
        await self._link.open_async()
        return self

    async def reach_async(self) -> Link:
        """Join the mesh, as the mesh's link does it."""
        await self._link.reach_async()
        return self

    def measure_clock(self, within_s: float | None = None) -> None:
        """Measure the mesh's clock."""
        self._link.measure_clock(within_s)

    def close(self) -> None:
        """Close idle connections to all nodes."""
        self._link.close()
