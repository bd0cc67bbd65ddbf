"""A look at a mesh that goes on without the nodes that do not answer, and names them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from taskmesh.errors import NodeUnavailable
from taskmesh.replication.away import Away

if TYPE_CHECKING:
    from taskmesh.core.steps import Steps
    from taskmesh.nodes.link import Link

T = TypeVar("T")

#: How long one of several nodes may take to tell what is its own.
LOOK_S = 2.0


class Look:
    """What one look asks, of one node or of several; it changes nothing.

    Who did not answer once is not asked again, so that a server that stands still is waited for once. Of several nodes
    one is enough; what only the others know is missing from what is told.
    """

    def __init__(self, link: Link, silent: Mapping[str, str] | None = None) -> None:
        """Prepare.

        Args:
            link: To the mesh.
            silent: Nodes that are not to be asked, since they were silent a moment ago: id -> why; None for none.
        """
        self._link = link
        self._away = Away(silent)

    @property
    def away(self) -> dict[str, str]:
        """Id of each node that did not answer -> why; empty where all did, and where there is but one."""
        return self._away.why

    @property
    def link(self) -> Link:
        """The link to the mesh."""
        return self._link

    def ask(self, make: Callable[[], Steps[T]]) -> T:
        """Run a protocol that only looks; on one node for as long as the link's patience lasts.

        Args:
            make: Makes the protocol, one that may be repeated.

        Raises:
            NodeUnavailable: No node answers.
        """
        several = self._link.reach().several
        if several is None:
            return self._link.ask(lambda _: make())
        return several.driver_at("").look(make(), self._away)

    def run(self, steps: Steps[T]) -> T:
        """As `ask`, with no patience: once.

        Args:
            steps: The protocol.

        Raises:
            NodeUnavailable: No node answers.
        """
        several = self._link.open().several
        return self._link.run(steps) if several is None else several.driver_at("").look(steps, self._away)

    def ask_each(self, make: Callable[[], Steps[T]]) -> list[tuple[str, T]]:
        """Ask each node for what is its own, and return what those say that answer, with their ids.

        Args:
            make: Makes the protocol, one that only looks.

        Raises:
            NodeUnavailable: No node answers.
        """
        link = self._link.reach()
        if link.several is None:
            (node,) = link.nodes
            return [(node, link.at(node).ask(lambda _: make()))]
        found: list[tuple[str, T]] = []
        failed: NodeUnavailable | None = None
        for node in link.nodes:
            if node in self._away.why:
                continue
            try:
                found.append((node, link.at(node).run(make(), within_s=LOOK_S)))
            except NodeUnavailable as error:
                failed = error
                self._away.why[node] = str(error)
        if not found:
            raise failed or NodeUnavailable("no node answers", node=link.mesh, may_be_done=False)
        return found
