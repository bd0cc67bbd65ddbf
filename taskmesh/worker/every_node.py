"""What a supervisor asks of every node of its mesh, or of the one where a claim was made."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from taskmesh.core.claim_names import node_of
from taskmesh.errors import NodeUnavailable
from taskmesh.nodes.link import ONE_NODE, Link
from taskmesh.queue.claim import held
from taskmesh.worker.options import SUPERVISOR_PATIENCE_S
from taskmesh.worker.patience import run_patiently
from taskmesh.worker.rest import MOMENT_S
from taskmesh.worker.wake import wake

log = logging.getLogger("taskmesh.worker")


def within_s(link: Link) -> float | None:
    """Return how long to wait for one node; None where it is the only one, for as long as its link waits."""
    return None if link.nodes == ONE_NODE else MOMENT_S


def link_of(link: Link, name: int) -> Link | None:
    """Return the link to the node where a claim was made; None if the node cannot be used any more."""
    # what was claimed while there was but one node has no name of it
    node = node_of(name) or link.home
    return link.at(node) if node in link.nodes else None


def wake_children(link: Link, holders: Sequence[bytes]) -> None:
    """Wake children, wherever they wait."""
    for node in link.nodes:
        at = link.at(node)
        try:
            run_patiently(at, wake(at.session, holders), SUPERVISOR_PATIENCE_S, within_s=within_s(link))
        except NodeUnavailable as error:
            log.debug("idle children look by themselves within a second: %s", error)


def held_everywhere(link: Link, holder: bytes) -> Iterator[tuple[str, int, int, str, bytes]]:
    """Yield what the nodes say that a child holds: node, sequence, position from 1, id, head of the record.

    Raises:
        NodeUnavailable: The only node does not answer, or none of several does.
    """
    missed: NodeUnavailable | None = None
    has_answered = False
    for node in link.nodes:
        at = link.at(node)
        try:
            found = run_patiently(
                at, held(at.session, holder), SUPERVISOR_PATIENCE_S, within_s=within_s(link)
            )
        except NodeUnavailable as error:
            missed = error
            continue
        has_answered = True
        for sequence, position, task_id, head in found:
            yield node, sequence, position, task_id, head
    if missed is not None and not has_answered:
        raise missed
