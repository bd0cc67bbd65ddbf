"""The probes and metrics of `taskmesh scheduler`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from taskmesh.core.version import VERSION
from taskmesh.metrics.exposition import Samples
from taskmesh.metrics.mesh_values import MeshValues
from taskmesh.metrics.pages import Pages
from taskmesh.metrics.process_values import put_process
from taskmesh.metrics.server import ProbeServer, place_of

if TYPE_CHECKING:
    from taskmesh.cli.scheduler_broker import SchedulerBroker
    from taskmesh.nodes.agreement import Agreement
    from taskmesh.nodes.link import Link
    from taskmesh.scheduler.candidate import Standing

#: A loop that has not turned for so long hangs; it turns each second.
LIVE_S = 30.0


class SchedulerProbes:
    """Serves how a scheduler is."""

    def __init__(self, name: str, link: Link, agreement: Agreement, where: str) -> None:
        """Begin to serve: alive, and not ready before it `stands`.

        Args:
            name: Of the process, for people.
            link: To the mesh; it need not be open.
            agreement: A way to its registers; another one is made of it.
            where: As the setting `probes` says it.

        Raises:
            ConfigError: The port cannot be had.
        """
        self._name = name
        self._mesh_name = link.mesh
        self._standing: Standing | None = None
        self._broker: SchedulerBroker | None = None
        self._waits_for = "it has not begun yet"
        self._turned_s = time.monotonic()
        self._is_stopping = False
        self._mesh = MeshValues(lambda: link, lambda _: agreement.another(), lambda: ())
        pages = Pages(self._why_dead, self._why_not_ready, self.samples, self._mesh.read, self._remarks)
        self._server = ProbeServer(place_of(where), pages)
        self._server.start()

    @property
    def url(self) -> str:
        """Where it serves."""
        return self._server.url

    def waits(self, why: str) -> None:
        """Say what keeps it from standing."""
        self._waits_for = why

    def stands(self, standing: Standing) -> None:
        """Tell of the candidate from now on."""
        self._standing = standing

    def has(self, broker: SchedulerBroker) -> None:
        """Tell of the broker from now on."""
        self._broker = broker

    def turned(self) -> None:
        """Say that the main loop turns."""
        self._turned_s = time.monotonic()

    def stops(self) -> None:
        """Say that the process is about to end."""
        self._is_stopping = True

    def close(self) -> None:
        """Serve no more."""
        self._server.close()
        self._mesh.close()

    def samples(self) -> Samples:
        """Return what this process tells of itself."""
        found = Samples()
        put_process(found)
        found.put("taskmesh_scheduler_info", 1, self._name, self._mesh_name, VERSION)
        found.put("taskmesh_scheduler_ready", int(not self._why_not_ready()))
        found.put("taskmesh_leads", int(self._standing is not None and self._standing.may_act))
        if self._broker is not None:
            found.put("taskmesh_broker_connected", int(not self._broker.trouble))
        return found

    def _why_dead(self) -> list[str]:
        age_s = time.monotonic() - self._turned_s
        reasons = [f"the main loop has not turned for {age_s:.0f} s"] if age_s > LIVE_S else []
        if self._standing is not None and not self._standing.is_alive:
            reasons.append("it is no candidate any more; its log says why")
        return reasons

    def _remarks(self) -> list[str]:
        return self._broker.remarks() if self._broker is not None else []

    def _why_not_ready(self) -> list[str]:
        reasons = self._why_dead()
        if self._is_stopping:
            return [*reasons, "the scheduler is told to stop"]
        if self._standing is None:
            return [*reasons, self._waits_for]
        hindrance = self._standing.hindrance
        if hindrance:
            reasons.append(f"it cannot take part in the election of the leader: {hindrance}")
        if self._standing.out_of_reach:
            reasons.append(self._standing.out_of_reach)
        return reasons
