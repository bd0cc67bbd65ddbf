"""A worker's part in the election of the leader: threads of its supervisor, which never imports the app.

What that takes is imported by the thread itself: a worker's first task does not wait for it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from taskmesh.nodes.link import Link
from taskmesh.worker.options import MeshFacts, WorkerOptions

if TYPE_CHECKING:
    from taskmesh.broker.contract import Broker
    from taskmesh.scheduler.candidate import Standing

#: How long the end of a lead may take.
RESIGN_S = 1.0


class WorkerStanding:
    """Stands for one worker, and has the schedules of its app's code be in the mesh."""

    def __init__(
        self,
        link: Link,
        worker: str,
        options: WorkerOptions,
        facts: MeshFacts,
        broker: Broker | None = None,
    ) -> None:
        """Prepare.

        Args:
            link: To the node.
            worker: Its name.
            options: How it was asked to run.
            facts: Of its app.
            broker: Of its mesh.
        """
        self._link = link
        self._worker = worker
        self._facts = facts
        self._broker = broker
        # A worker that ends with its queues would lead for a moment only. Of several nodes none may be admitted yet,
        # after a restart of everything: then that moment is what it needs.
        self._is_candidate = options.scheduler and (not options.burst or link.several is not None)
        self._standing: Standing | None = None
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="taskmesh-candidate", daemon=True)

    def start(self) -> Self:
        """Begin, if there is anything to do, and return this."""
        if self._is_candidate or self._facts.schedules:
            self._thread.start()
        return self

    def _run(self) -> None:
        from taskmesh.nodes.address import NodeAddress
        from taskmesh.nodes.agreement import Agreement
        from taskmesh.scheduler.candidate import Standing, declared_in

        self._standing = standing = Standing(
            self._link,
            Agreement(self._link, tuple(map(NodeAddress, self._facts.acceptors))),
            self._worker,
            declared=declared_in(self._facts.schedules),
            is_candidate=self._is_candidate,
            broker=self._broker,
        )
        if not self._is_stopped:
            standing.run()

    def leads(self) -> bool:
        """Tell whether this process is the leader, and its lease lasts."""
        return self._standing is not None and self._standing.may_act

    def stop(self) -> None:
        """Begin to end: resign, if this worker leads."""
        self._is_stopped = True
        if self._standing is not None:
            self._standing.stop()

    def join(self) -> None:
        """End, and wait for that; another leads in any case when the lease has lapsed."""
        self.stop()
        if self._thread.ident is not None:
            self._thread.join(RESIGN_S)
