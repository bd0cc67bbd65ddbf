"""The supervisor as the commands run it: it also says when other code serves a mesh of the same name."""

from __future__ import annotations

import logging

from taskmesh.cli.worker_list import clash, strangers, workers_of
from taskmesh.errors import NodeFault, NodeUnavailable
from taskmesh.queue.manage import status
from taskmesh.worker.options import MeshFacts
from taskmesh.worker.supervisor import Supervisor

log = logging.getLogger("taskmesh.worker")


class CommandSupervisor(Supervisor):
    """A supervisor that looks who is there already when it registers."""

    @property
    def facts(self) -> MeshFacts | None:
        """What the template told of the app; None if it could not be imported."""
        return getattr(self, "_facts", None)

    def _register(self) -> None:
        super()._register()
        try:
            self._look_for_strangers()
        except (NodeUnavailable, NodeFault) as error:
            log.warning("cannot look who else serves mesh %r: %s", self._facts.mesh, error)

    def _look_for_strangers(self) -> None:
        workers = workers_of(self._link.run(status(self._link.session, with_queues=False)))
        incarnation = self._presence.incarnation.decode()
        own = next((worker for worker in workers if worker.incarnation == incarnation), None)
        if own is None:
            return  # declared dead meanwhile: the next life looks again
        for other in strangers(own, workers):
            log.warning(
                "%s. If these are two programs, give one of them another mesh name, or queues of its own (-Q)",
                clash(own, other),
            )
