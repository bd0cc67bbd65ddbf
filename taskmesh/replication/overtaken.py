"""Whether what happened since makes a change of the view vain that waits for nodes. Pure, as `plan.py`."""

from __future__ import annotations

from collections.abc import Collection

from taskmesh.replication.plan import Goal
from taskmesh.replication.view import LOST


def overtaken(goal: Goal, now: Goal | None, silent: Collection[str]) -> str:
    """Return why a change that waits for nodes is to be thought over; empty if it is to go on waiting.

    Args:
        goal: What the view is being changed to.
        now: What the view that it comes from would be changed to by what nodes say now; None for nothing.
        silent: The nodes that were silent for long to the leader itself, whether others say so or not.

    Returns:
        A node that it needs is gone, and the others can go on without it. Or, where nothing is lost as long as the
        change is not made, it does not answer; that whoever waits may look what is to become of it.
    """
    needed = {node for row in set(goal.table) for node in row}
    lost = {member.id for member in now.members if member.state == LOST} if now and now.is_urgent else set()
    if now and lost & needed:
        return f"{now.why}, which goes before: {goal.why}"
    late = sorted(needed.intersection(silent))
    if late and not goal.is_urgent:
        return f"{', '.join(late)} does not answer, which has to be waited for: {goal.why}"
    return ""
