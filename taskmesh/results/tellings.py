"""Read what running messages tell of themselves."""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.core.script import load_script
from taskmesh.core.steps import Session, Steps
from taskmesh.replication.ask import ask

TELLINGS = load_script("taskmesh.results", "tellings")


def tellings(
    session: Session, task_ids: Sequence[str], *, patience_s: float = 10.0
) -> Steps[list[tuple[str, bytes] | None]]:
    """Return per id the token of the claim under which it runs and its signed telling; None where there is none.

    Raises:
        NodeUnavailable: The node does not answer.
    """
    reply = yield from ask(
        session, TELLINGS, *[task_id.encode() for task_id in task_ids], patience_s=patience_s
    )
    return [
        None if reply[at + 1] is None else (reply[at].decode(errors="replace"), reply[at + 1])
        for at in range(0, len(reply), 2)
    ]
