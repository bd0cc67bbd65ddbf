"""The children of a new life of a worker, made of how it was asked to run and of what its app says."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from taskmesh.metrics.tally import Tally
from taskmesh.nodes.link import Link
from taskmesh.worker.brood import Brood
from taskmesh.worker.hearing import Hearing
from taskmesh.worker.mesh_presence import MeshPresence
from taskmesh.worker.nursery import Nursery
from taskmesh.worker.options import MeshFacts, WorkerOptions, limits_for
from taskmesh.worker.pools import Pool, seats
from taskmesh.worker.presence import Presence
from taskmesh.worker.report import Reporter


def new_brood(
    link: Link,
    nursery: Nursery,
    presence: Presence | MeshPresence,
    options: WorkerOptions,
    facts: MeshFacts,
    pools: Sequence[Pool],
    tally: Tally | None,
    *,
    hearing: Hearing,
) -> Brood:
    """Return the children of a life, none of which has been started.

    Args:
        link: To the mesh.
        nursery: Starts processes.
        presence: The life.
        options: How the worker was asked to run.
        facts: Of its app.
        pools: As the options and the settings together say.
        tally: Adds up what children count; None if they do not.
        hearing: Of the broker, whose tickets may wake them instead of the nodes.

    Raises:
        UsageError: As `limits_for`.
    """
    reporter = Reporter(
        link,
        presence.incarnation,
        pool=", ".join(map(str, pools)),
        beat_s=presence.beat_s,
        processes=[os.getpid()],
        now_s=time.monotonic(),
        broker=hearing.report,
    )
    return Brood(
        link,
        nursery,
        presence.undertaker,
        reporter,
        incarnation=presence.incarnation,
        worker=options.name,
        seats=seats(pools),
        strategy=facts.strategy,
        weights=options.weights,
        burst=options.burst,
        max_tasks=options.max_tasks_per_child or facts.max_tasks_per_child,
        max_memory=options.max_memory_per_child or facts.max_memory_per_child,
        at_first=options.children_min if options.children_max else 0,
        limits=limits_for(options, facts),
        nodes=options.nodes_per_worker or facts.nodes_per_worker,
        tally=tally,
        by_ticket=hearing.is_on,
    )
