"""The supervisor as the commands run it: it also says when other code serves a mesh of the same name."""

from __future__ import annotations

import logging

from taskmesh.cli.worker_list import clash, strangers, workers_of
from taskmesh.config.brokers import MEMORY, scheme_of
from taskmesh.errors import NodeFault, NodeUnavailable, UsageError
from taskmesh.queue.manage import status
from taskmesh.worker.nursery import Nursery
from taskmesh.worker.options import MeshFacts, WorkerOptions
from taskmesh.worker.supervisor import Supervisor

log = logging.getLogger("taskmesh.worker")


class CommandSupervisor(Supervisor):
    """A supervisor that looks who is there already when it registers."""

    def __init__(self, options: WorkerOptions, *, who: str, nodes: int = 0) -> None:
        """Prepare.

        Args:
            options: Of the worker.
            who: The command, as its errors begin.
            nodes: How many embedded nodes were asked for; 0 if nothing was said.
        """
        super().__init__(options, who=who)
        self._nodes = nodes

    @property
    def facts(self) -> MeshFacts | None:
        """What the template told of the app; None if it could not be imported."""
        return getattr(self, "_facts", None)

    def _work(self, facts: MeshFacts, nursery: Nursery) -> int:
        if self._nodes and not (facts.embedded and len(facts.urls) == self._nodes):
            has = "" if facts.embedded else " of its own"
            raise UsageError(
                f"--nodes {self._nodes}: the app says otherwise. By its own settings mesh {facts.mesh!r} has "
                f"{len(facts.urls)} node{'' if len(facts.urls) == 1 else 's'}{has}; leave --nodes out"
            )
        if scheme_of(facts.broker) == MEMORY:
            log.warning(
                "the broker of mesh %r is memory://, which reaches no other process and is for tests: nothing tells "
                "this worker of work, and its children look each second",
                facts.mesh,
            )
        return super()._work(facts, nursery)

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
