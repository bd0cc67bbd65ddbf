"""Why there is no outcome to be had of a message: it was never sent, or its result has been removed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from taskmesh.core.ids import created_ms_of
from taskmesh.errors import ResultExpired, TaskNotFound

if TYPE_CHECKING:
    from taskmesh.client.portal import Portal
    from taskmesh.client.result import AsyncResult


def absence(handle: AsyncResult[Any], portal: Portal) -> ResultExpired | TaskNotFound:
    """Return the error that says why, as far as it is known.

    Args:
        handle: On the message; it has been looked for in vain.
        portal: Of its mesh.
    """
    if handle.batch is not None and handle.batch.holds(handle.id):
        return TaskNotFound(
            f"message {handle.id} stands in {handle.batch.a_this} that was not sent, or that the node did not accept "
            f"whole; results can be had after the `with {handle.batch.title}` block"
            f"{handle.batch.or_else}",
            task_id=handle.id,
        )
    kept_s = portal.settings.result_expires
    created_ms = created_ms_of(handle.id)
    age_s = (time.time() * 1000 - created_ms) / 1000 if created_ms is not None else 0.0
    if handle.expired or handle.sent_here or age_s > kept_s:
        kept = (
            f"its result_expires was {handle.kept_s} s after its end"
            if handle.kept_s
            else "results are kept for result_expires after their end, of the call, of its task, or else "
            f"{kept_s:g} s of the mesh"
        )
        return ResultExpired(
            f"the result of {handle.id} has been removed: {kept}, less when the node's memory is short, or until "
            "forget(); or the node lost its data",
            task_id=handle.id,
        )
    return TaskNotFound(
        f"nothing is known of task {handle.id} in mesh {portal.link.mesh!r}: it was never sent there, or it "
        "finished so long ago that its result expired",
        task_id=handle.id,
    )
