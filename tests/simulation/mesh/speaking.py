"""How the calls of a protocol find their nodes: by the real `spread`, with what a process knows of the view."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from taskmesh.core.steps import Session
from taskmesh.replication.spread import spread
from taskmesh.replication.standing import Standing
from taskmesh.replication.view import View

Steps = Generator[Any, Any, Any]


class Speaking:
    """What a process knows of the nodes."""

    def __init__(self, view: View, session: Session) -> None:
        self._addresses = {member.address for member in view.members}
        self.standing = Standing(view, session)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that it knows and may use."""
        return self.standing.view.nodes

    def where(self, node: str) -> tuple[str | None, str | None]:
        """Return where a node is, and which run of its server is meant."""
        if node in self._addresses:
            return node, None
        member = self.standing.view.member(node)
        if member is None:
            return None, None
        return member.address, member.run_id

    def spread(self, steps: Steps, node: str = "") -> Steps:
        """Do a protocol with the mesh, or with one node of it."""
        return spread(steps, self.standing, node)
