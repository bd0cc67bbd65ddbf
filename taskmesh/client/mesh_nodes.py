"""`mesh.nodes`: which servers a mesh has, changed from Python."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from taskmesh.errors import TaskTimeout
from taskmesh.nodes.change_progress import NodeChange
from taskmesh.nodes.node_changes import NodeChanges

if TYPE_CHECKING:
    from taskmesh.nodes.agreement import Agreement
    from taskmesh.replication.view import Member


class MeshNodes:
    """The nodes of one mesh. What is changed is done by the leader, so a worker or a scheduler has to run.

    Whatever is interrupted goes on, and to ask for it again does no harm.
    """

    def __init__(self, agreement: Agreement, durability: str) -> None:
        """Prepare; see `NodeChanges`."""
        self._changes = NodeChanges(agreement, durability)

    def members(self) -> tuple[Member, ...]:
        """Return all that are members, or were: id, address, state, weight, domain.

        Raises:
            UsageError: The mesh runs on one node.
        """
        return self._changes.members()

    def add(
        self,
        url: str,
        *,
        weight: int | None = None,
        domain: str | None = None,
        timeout: float | None = None,
    ) -> str:
        """Add a server, and return its id once it keeps its share; a mesh of one node becomes one of several.

        Args:
            url: Where it is, `redis://host:port`.
            weight: How much it keeps, in proportion to others, which have 100; None for 100, or, where it was added
                before, for as much as now.
            domain: What fails together with it: a host, a rack; None for nothing, or for what it was.
            timeout: How long to wait for that, in seconds; 0: not at all; None: as long as it takes.

        Raises:
            UsageError: It cannot be a node; the text says why, and what to do.
            NodeUnavailable: It does not answer, or the mesh does not.
            TaskTimeout: It is not done yet, and goes on.
        """
        return self._done(self._changes.adding(url, weight=weight, domain=domain), timeout)

    def remove(self, node: str, *, timeout: float | None = None) -> str:
        """Take a node out, by id or address, and return its id once it keeps nothing; else as `add`.

        If it is an acceptor as well, another node takes its place. One that the settings name as such stays one, and
        its server must not be ended yet: `taskmesh nodes remove ID --dry-run` says so.
        """
        return self._done(self._changes.removing(node), timeout)

    def drain(self, node: str, *, timeout: float | None = None) -> str:
        """Empty a node, which stays a member, and return its id once it keeps nothing; else as `add`."""
        return self._done(self._changes.draining(node), timeout)

    def weigh(
        self, node: str, weight: int, *, domain: str | None = None, timeout: float | None = None
    ) -> str:
        """Change how much a node keeps, and return its id once the mesh goes by that; else as `add`."""
        return self._done(self._changes.weighing(node, weight, domain=domain), timeout)

    def _done(self, change: NodeChange, timeout_s: float | None) -> str:
        change = self._changes.wish(change)
        if timeout_s == 0:
            return change.node
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        for progress in self._changes.watch(change):
            if not progress.is_done and until_s is not None and time.monotonic() > until_s:
                late = f"node {change.node} {progress.text}, and is not done within {timeout_s:g} s"
                raise TaskTimeout(f"{late}; it goes on while a worker or a scheduler runs")
        return change.node
