"""The probes and metrics of a worker, served by its supervisor, which never imports the app."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING

from taskmesh.core.version import VERSION
from taskmesh.metrics.exposition import Samples
from taskmesh.metrics.mesh_values import MeshValues
from taskmesh.metrics.pages import Pages
from taskmesh.metrics.process_values import put_process, resident_bytes, stands_still
from taskmesh.metrics.server import ProbeServer, place_of
from taskmesh.metrics.tally import Tally
from taskmesh.worker.page import NOTHING
from taskmesh.worker.vitals import Vitals

if TYPE_CHECKING:
    from taskmesh.nodes.agreement import Agreement
    from taskmesh.nodes.link import Link

log = logging.getLogger("taskmesh.worker")


class WorkerProbes:
    """Serves what is known of one worker."""

    def __init__(self, vitals: Vitals, worker: str, where: str) -> None:
        """Begin to serve; from now on the children count.

        Args:
            vitals: How the worker is.
            worker: Its name.
            where: As the setting `probes` says it.

        Raises:
            ConfigError: The port cannot be had.
        """
        self._vitals = vitals
        self._worker = worker
        self._mesh = MeshValues(lambda: vitals.link, self._agreement, self._queues)
        pages = Pages(vitals.why_dead, vitals.why_not_ready, self.samples, self._mesh.read, vitals.remarks)
        self._server = ProbeServer(place_of(where), pages)
        vitals.counts_with(Tally())
        self._server.start()
        log.info("probes of worker %s: %s", worker, self._server.url)

    def close(self) -> None:
        """Serve no more."""
        self._server.close()
        self._mesh.close()

    def samples(self) -> Samples:
        """Return what this worker tells of itself."""
        vitals, found = self._vitals, Samples()
        put_process(found)
        mesh = vitals.facts.mesh if vitals.facts is not None else ""
        found.put("taskmesh_worker_info", 1, self._worker, mesh, VERSION)
        found.put("taskmesh_worker_ready", int(not vitals.why_not_ready()))
        found.put("taskmesh_worker_registered", int(vitals.is_registered and not vitals.out_since_s))
        found.put("taskmesh_leads", int(vitals.leads()))
        found.put("taskmesh_worker_turn_age_seconds", time.monotonic() - vitals.turned_s)
        if vitals.broker is not None:
            found.put("taskmesh_broker_connected", int(vitals.broker))
        if vitals.tally is not None:
            vitals.tally.put(found)
        self._put_children(found)
        return found

    def _put_children(self, found: Samples) -> None:
        vitals, brood = self._vitals, self._vitals.brood
        states = dict.fromkeys(("starting", "idle", "busy", "stopped", "leaving"), 0)
        children = brood.children() if brood is not None else []
        living = vitals.tally.living() if vitals.tally is not None else set()
        for child in children:
            if child.is_dismissed or child.sentence is not None:
                state = "leaving"
            elif not child.pid or child.order.place not in living:
                state = "starting"
            elif stands_still(child.pid):
                state = "stopped"
            else:
                state = "idle" if brood is None or brood.note(child).position == NOTHING else "busy"
            states[state] += 1
        for state, count in states.items():
            found.put("taskmesh_worker_children", count, state)
        found.put("taskmesh_worker_children_wanted", brood.size if brood is not None else 0)
        pids = [os.getpid(), vitals.template_pid, *(child.pid for child in children)]
        found.put("taskmesh_worker_memory_bytes", resident_bytes(pid for pid in pids if pid))

    def _agreement(self, link: Link) -> Agreement:
        from taskmesh.nodes.address import NodeAddress
        from taskmesh.nodes.agreement import Agreement

        facts = self._vitals.facts
        return Agreement(link, tuple(map(NodeAddress, facts.acceptors if facts is not None else ())))

    def _queues(self) -> tuple[str, ...]:
        brood = self._vitals.brood
        return brood.queues if brood is not None else ()
