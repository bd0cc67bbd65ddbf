"""A node that is killed in the middle of the demo, and what the mesh made of it."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskmesh.errors import InvariantBroken
from taskmesh.replication.history import Change, read_changes
from taskmesh.replication.view import UP, View

if TYPE_CHECKING:
    from taskmesh import TaskMesh

#: How long to wait, after the last result, until the mesh is whole again.
WHOLE_S = 60.0
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Loss:
    """What happened, in seconds from the first task.

    Attributes:
        node: Which node's server was killed with signal 9.
        killed_s: When.
        done_before: How many results had arrived.
        noticed_s: When the leader had noticed it; None if it did not.
        view: Number of the view without it; None if there was none.
        active_s: When that counted.
        whole_s: When all nodes took part again, with all copies; None if not while the demo waited.
        arrived: How many results arrived altogether.
        sent: Of how many tasks.
    """

    node: str
    killed_s: float
    done_before: int
    noticed_s: float | None
    view: int | None
    active_s: float | None
    whole_s: float | None
    arrived: int
    sent: int

    @property
    def failover_s(self) -> float | None:
        """Seconds from the kill until the view without the node counted."""
        return None if self.active_s is None else self.active_s - self.killed_s


class Killing:
    """Kills the server of a node once half of the results are there; its guardian starts it again."""

    def __init__(self, mesh: TaskMesh, sent: int) -> None:
        """Note when the first task is sent.

        Args:
            mesh: On private nodes of this process.
            sent: How many tasks there are.
        """
        self._mesh = mesh
        self._sent = sent
        self._begun_ms = mesh.link.clock.now_ms()
        self._node = ""
        self._killed_ms = 0
        self._done_before = 0

    def look(self, done: int) -> None:
        """Kill a node if it is time, once.

        Args:
            done: How many results have arrived.
        """
        if self._node or 2 * done < self._sent:
            return
        victim = self._mesh.private_nodes[0]
        address = f"unix://{victim.socket_path}"
        self._node = next(member.id for member in self._view().members if member.address == address)
        self._done_before, self._killed_ms = done, self._mesh.link.clock.now_ms()
        os.kill(victim.server_pid, signal.SIGKILL)

    def account(self, arrived: int) -> Loss:
        """Wait until the mesh is whole again, though not for ever, and return what happened.

        Args:
            arrived: How many results did.

        Raises:
            NodeUnavailable: No node answers any more.
        """
        changes = self._wait_until_whole()
        failover = next((each for each in changes if each.is_failover), None)
        # the last change is that by which the mesh became whole
        whole = changes[-1] if changes and _is_whole(self._view()) else None
        return Loss(
            node=self._node,
            killed_s=self._after_s(self._killed_ms),
            done_before=self._done_before,
            noticed_s=self._after_s(failover.noticed_ms) if failover else None,
            view=failover.number if failover else None,
            active_s=self._after_s(failover.active_ms) if failover else None,
            whole_s=self._after_s(whole.active_ms) if whole else None,
            arrived=arrived,
            sent=self._sent,
        )

    def _wait_until_whole(self) -> list[Change]:
        """Return the changes since the kill, the first one first."""
        link, until_s = self._mesh.link, time.monotonic() + WHOLE_S
        while True:
            changes = [
                each for each in link.ask(lambda _: read_changes(link.session)) if self._is_since(each)
            ]
            if (
                changes and not changes[0].is_failover and _is_whole(self._view())
            ) or time.monotonic() > until_s:
                return changes[::-1]
            time.sleep(_POLL_S)

    def _is_since(self, change: Change) -> bool:
        return change.active_ms >= self._killed_ms

    def _after_s(self, moment_ms: int) -> float:
        return (moment_ms - self._begun_ms) / 1000

    def _view(self) -> View:
        """Return the newest view that the nodes tell of."""
        several = self._mesh.link.several
        if several is None or several.standing is None:
            raise InvariantBroken("the demo's mesh has one node, and it is to go on without one")
        return several.newest(several.standing)


def _is_whole(view: View) -> bool:
    return all(member.state == UP for member in view.members) and all(
        len(row) == view.replicas for row in view.table
    )
