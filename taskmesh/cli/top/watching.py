"""Reads a mesh in threads, so that a node which is away never holds up the screen."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from taskmesh.cli.top.seen import Seen, look_at
from taskmesh.cli.top.tally import Rates, Tally
from taskmesh.coordination.leading import leading
from taskmesh.errors import TaskMeshError
from taskmesh.nodes.look import Look
from taskmesh.replication.ask import plain

if TYPE_CHECKING:
    from taskmesh.app import TaskMesh

#: How often the mesh is looked at, and how often who leads.
LOOK_S = 1.0
LEADER_S = 3.0


class Watching:
    """What is known of a mesh now.

    Attributes:
        seen: The last look; None for none yet.
        trouble: Why the next one fails; empty if it does not.
        leader: Who leads; empty for nobody, or while that is not known.
        leader_trouble: Why it is not known who leads; empty if it is.
        tally: What events tell.
        came: How fast messages come, by queue.
        ended: How fast they end, by queue.
    """

    def __init__(self, mesh: TaskMesh, changed: Callable[[], None]) -> None:
        """Prepare.

        Args:
            mesh: Which; its link is open.
            changed: Called by any thread when there is something new to be shown.
        """
        self._mesh = mesh
        self._changed = changed
        self._stopping = threading.Event()
        self._hurry = threading.Event()
        self.seen: Seen | None = None
        self.trouble = ""
        self.leader = ""
        self.leader_trouble = ""
        self.tally = Tally()
        self.came, self.ended = Rates(), Rates()
        self._silent: dict[str, str] = {}

    def start(self) -> None:
        """Begin; the threads end with the process."""
        for read in (self._look, self._follow, self._ask_who_leads, self._ask_the_silent):
            threading.Thread(target=read, name=f"taskmesh-top{read.__name__}", daemon=True).start()

    def stop(self) -> None:
        """Look no more; nobody waits for what is still being asked."""
        self._stopping.set()
        self._hurry.set()

    def hurry(self) -> None:
        """Look soon, since something was changed."""
        self._hurry.set()

    def look(self) -> None:
        """Look once. A node that was silent is waited for once, and not asked before it answers `ask_the_silent`.

        Raises:
            TaskMeshError: No node answers.
        """
        look = Look(self._mesh.link, self._silent)
        seen = look_at(self._mesh, look)
        self._silent = look.away
        self.ended.add(Counter({queue.name: queue.ended for queue in seen.queues}), seen.at_s)
        self.came.add(self.tally.sent(), seen.at_s)
        self.seen, self.trouble = seen, ""

    def ask_the_silent(self) -> None:
        """Have nodes that answer again be asked by the next look."""
        for node in list(self._silent):
            try:
                link = self._mesh.link.at(node)
                link.run(plain(link.session, b"PING"), within_s=LOOK_S)
            except TaskMeshError:
                continue
            self._silent = {other: why for other, why in self._silent.items() if other != node}

    def ask_who_leads(self) -> None:
        """Read who leads, or why that cannot be known, such as too few acceptors: what nodes tell does not need it."""
        try:
            agreement = self._mesh.agreement
            found, lives = agreement.run(leading(agreement.registers, int(time.time() * 1000)))
        except TaskMeshError as error:
            self.leader, self.leader_trouble = "", str(error)
        else:
            self.leader, self.leader_trouble = found.name if lives else "", ""

    def _look(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
            except TaskMeshError as error:
                self.trouble = str(error)
            except Exception as error:  # noqa: BLE001 - the edge of the thread: without it the screen would stand still
                self.trouble = f"{type(error).__name__}: {error}"
            self._changed()
            self._hurry.wait(LOOK_S)
            self._hurry.clear()

    def _ask_the_silent(self) -> None:
        while not self._stopping.wait(LOOK_S):
            self.ask_the_silent()

    def _ask_who_leads(self) -> None:
        while not self._stopping.is_set():
            self.ask_who_leads()
            self._stopping.wait(LEADER_S)

    def _follow(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._mesh.events() as events:
                    while not self._stopping.is_set():
                        event = events.read(LOOK_S)
                        if event is not None:
                            self.tally.add(event)
            except TaskMeshError:
                self._stopping.wait(LOOK_S)
