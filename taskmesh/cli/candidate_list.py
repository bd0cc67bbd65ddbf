"""Who would lead: the candidates of a mesh, as they say on the nodes, and in words."""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.coordination.candidates import CandidateSeen, live, read_notes
from taskmesh.queue.manage import Status

#: So many stand-bys are named.
NAMED_MAX = 3


def candidates_of(counted: Status, now_ms: int) -> tuple[CandidateSeen, ...]:
    """Return the candidates in a status that live, the leader first.

    Args:
        counted: The status.
        now_ms: On the clock of the nodes.
    """
    return live(read_notes(counted.candidates).values(), now_ms)


def in_words(found: Sequence[CandidateSeen]) -> str:
    """Return who leads and who stands by, in words."""
    if not found:
        return "nobody leads, and nobody stands by"
    others = [each.name for each in found[found[0].leads :]]
    named = ", ".join(others[:NAMED_MAX])
    if len(others) > NAMED_MAX:
        named += f" and {len(others) - NAMED_MAX:,} more"
    stand = f"{named or 'nobody'} {'stands' if len(others) <= 1 else 'stand'} by"
    return f"{found[0].name} leads, {stand}" if found[0].leads else f"nobody leads at this moment, {stand}"
