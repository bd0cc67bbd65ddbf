"""Which firings are run now, of those that nobody has run yet.

The leader is never quite on time, and there may have been none for a while. A firing up to `ON_TIME_MS` old is *on
time*, whatever the policy: that covers the election of another leader. An older one was *missed*: the policy says
what comes of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from taskmesh.coordination.schedule import ALL, SKIP
from taskmesh.scheduler.timetable import firings, previous_firing
from taskmesh.scheduler.when import When

#: How late a firing may be without having been missed: longer than the election of a leader takes.
ON_TIME_MS = 15_000


def to_run(
    when: When,
    *,
    after_ms: int,
    now_ms: int,
    misfire: str,
    catch_up_ms: int,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> Iterator[int]:
    """Return the nominal moments in `after_ms < moment <= now_ms` that are to be run, in order.

    Args:
        when: The schedule.
        after_ms: Up to here, everything was seen to; nothing before the schedule was made, changed or resumed counts.
        now_ms: The present.
        misfire: `skip`: only what is on time. `latest`: the last of those missed, if none is on time. `all`: each of
            them.
        catch_up_ms: How old a missed firing may be: older ones are not run under any policy.
        start_ms: As for `firings`.
        end_ms: As for `firings`.
    """
    oldest_ms = now_ms - max(catch_up_ms, ON_TIME_MS)
    since_ms = oldest_ms if misfire == ALL else now_ms - ON_TIME_MS
    found = firings(when, max(after_ms, since_ms - 1), now_ms, start_ms=start_ms, end_ms=end_ms)
    if misfire in {ALL, SKIP}:
        yield from found
        return
    first_ms = next(found, None)
    if first_ms is not None:
        yield first_ms
        yield from found
        return
    last_ms = previous_firing(when, now_ms + 1, start_ms=start_ms, end_ms=end_ms)
    if last_ms is not None and last_ms > after_ms and last_ms >= oldest_ms:
        yield last_ms


def still_to_run(late: Sequence[int], now_ms: int, misfire: str, catch_up_ms: int) -> list[int]:
    """Return which firings of one schedule are run all the same that were due and could not be enqueued until now.

    As `to_run`: how they came to be late makes no difference.

    Args:
        late: Their nominal moments, in order.
        now_ms: The present.
        misfire: As for `to_run`.
        catch_up_ms: As for `to_run`.
    """
    kept = [moment for moment in late if moment >= now_ms - max(catch_up_ms, ON_TIME_MS)]
    if misfire == ALL:
        return kept
    on_time = [moment for moment in kept if moment >= now_ms - ON_TIME_MS]
    return on_time if on_time or misfire == SKIP else kept[-1:]
