"""What becomes of a firing while the message of the one before it is not final."""

from __future__ import annotations

from enum import Enum

from taskmesh.coordination.schedule import ALLOW, BUFFER_ONE


class Verdict(Enum):
    """What is done with a firing.

    RUN: its message is enqueued. SKIP: nothing comes of it. BUFFER: it waits for the message before it.
    RUN_BUFFERED: the one that waited is enqueued, and this one waits in its place.
    """

    RUN = "run"
    SKIP = "skip"
    BUFFER = "buffer"
    RUN_BUFFERED = "run buffered"


def verdict(overlap: str, *, previous_final: bool, buffered: bool) -> Verdict:
    """Return what is done with a firing.

    Args:
        overlap: `allow`: it runs beside the one before it. `skip`: it does not run. `buffer-one`: it runs when that
            has ended; while one waits so, further ones are skipped.
        previous_final: Whether the last message that was enqueued has ended, whatever came of it; or there was none.
        buffered: Whether an earlier firing waits.
    """
    if overlap == ALLOW:
        return Verdict.RUN
    if overlap == BUFFER_ONE and buffered:
        return Verdict.RUN_BUFFERED if previous_final else Verdict.SKIP
    if previous_final:
        return Verdict.RUN
    return Verdict.BUFFER if overlap == BUFFER_ONE else Verdict.SKIP


def buffered_may_run(*, previous_final: bool, buffered: bool) -> bool:
    """Tell whether a firing that waited is to be enqueued now, with no new one at hand."""
    return previous_final and buffered
