"""How much there is to do, for a worker that has as many children as that needs."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from taskmesh.errors import NodeUnavailable
from taskmesh.nodes.link import Link
from taskmesh.queue.manage import status
from taskmesh.worker.options import SUPERVISOR_PATIENCE_S
from taskmesh.worker.patience import run_patiently

log = logging.getLogger("taskmesh.worker")


def count_waiting(link: Link, queues: Iterable[str]) -> int:
    """Return how many messages wait in some queues; 0 when the node does not say."""
    try:
        counted = run_patiently(link, status(link.session), SUPERVISOR_PATIENCE_S)
    except NodeUnavailable as error:
        log.debug("%s", error)
        return 0
    return sum(counted.queues.get(queue, 0) for queue in queues)
