"""The firings of a schedule between two moments, and by how much each message waits behind its own.

The moments are *nominal*: what the schedule says, whenever somebody gets round to it. A firing's id is made of the
nominal moment, so that it is the same for whoever computes it. Jitter does not move a firing: it delays the message.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

from taskmesh.coordination.firing import firing_id
from taskmesh.scheduler.when import When


def firings(
    when: When, after_ms: int, until_ms: int, *, start_ms: int | None = None, end_ms: int | None = None
) -> Iterator[int]:
    """Return the nominal moments, in order, for which `after_ms < moment <= until_ms`.

    Args:
        when: The schedule.
        after_ms: Exclusive: what was done up to a moment is not done again.
        until_ms: Inclusive: what is due now is due.
        start_ms: Nothing fires before it; it may fire at it.
        end_ms: Nothing fires at it or later.
    """
    found_ms = next_firing(when, after_ms, start_ms=start_ms, end_ms=end_ms)
    while found_ms is not None and found_ms <= until_ms:
        yield found_ms
        found_ms = next_firing(when, found_ms, start_ms=start_ms, end_ms=end_ms)


def next_firing(
    when: When, after_ms: int, *, start_ms: int | None = None, end_ms: int | None = None
) -> int | None:
    """Return the first nominal moment after another, as `firings` gives them; None when there is none."""
    found_ms = when.next_after(after_ms if start_ms is None else max(after_ms, start_ms - 1))
    return None if found_ms is None or (end_ms is not None and found_ms >= end_ms) else found_ms


def previous_firing(
    when: When, before_ms: int, *, start_ms: int | None = None, end_ms: int | None = None
) -> int | None:
    """Return the last nominal moment before another, as `firings` gives them; None when there is none."""
    found_ms = when.last_before(before_ms if end_ms is None else min(before_ms, end_ms))
    return None if found_ms is None or (start_ms is not None and found_ms < start_ms) else found_ms


def due_ms(name: str, nominal_ms: int, jitter_ms: int) -> int:
    """Return when the message of a firing may run: up to `jitter_ms` after the nominal moment.

    By how much follows from the schedule's name and the moment alone: every leader finds the same, schedules of one
    moment are spread, and one schedule is not always late.
    """
    if not jitter_ms:
        return nominal_ms
    drawn = int.from_bytes(blake2b(firing_id(name, nominal_ms).encode(), digest_size=8).digest(), "big")
    return nominal_ms + drawn % (jitter_ms + 1)
