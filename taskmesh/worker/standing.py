"""A worker's part in the election of the leader: threads of its supervisor, which never imports the app."""

from __future__ import annotations

from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.agreement import Agreement
from taskmesh.nodes.link import Link
from taskmesh.scheduler.candidate import Standing, declared_in
from taskmesh.worker.options import MeshFacts, WorkerOptions


def standing_of(link: Link, worker: str, options: WorkerOptions, facts: MeshFacts) -> Standing:
    """Make what stands for a worker; a worker that ends with its queues would lead for a moment only, and does not."""
    return Standing(
        link,
        Agreement(link, tuple(map(NodeAddress, facts.acceptors))),
        worker,
        declared=declared_in(facts.schedules),
        is_candidate=options.scheduler and not options.burst,
    )
