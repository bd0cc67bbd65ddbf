"""Watching other workers: whose counter has stood still for too long.

A counter is judged on this process's own monotonic clock, and only the time between two successful
readings counts: a watcher that was itself stopped or cut off accuses nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from taskmesh.queue.workers import WATCHED, Beat

#: More time than so many beats between two readings says that the watcher itself was held up.
GAP_BEATS_MAX = 3.0


@dataclass(slots=True)
class _Seen:
    count: int
    stood_s: float


class Watch:
    """What one supervisor has seen of the others."""

    def __init__(self, lease_ttl_s: float, beat_s: float, many: int = WATCHED) -> None:
        """Prepare.

        Args:
            lease_ttl_s: How long a counter may stand still.
            beat_s: How often it is read.
            many: How many are watched as long as all is well.
        """
        self._lease_ttl_s = lease_ttl_s
        self._gap_s_max = beat_s * GAP_BEATS_MAX
        self._seen: dict[bytes, _Seen] = {}
        self._read_at_s: float | None = None
        self._many = self._wanted = many

    def read(self, beats: Iterable[Beat], now_s: float) -> list[Beat]:
        """Take in a reading, and return those whose lease is over."""
        gap_s = 0.0 if self._read_at_s is None else min(now_s - self._read_at_s, self._gap_s_max)
        self._read_at_s = now_s
        over = []
        seen: dict[bytes, _Seen] = {}
        count = gone = moved = 0
        for beat in beats:
            count += 1
            if beat.state != "live":
                gone += 1
                continue
            before = self._seen.get(beat.incarnation)
            if before is None or before.count != beat.count:
                seen[beat.incarnation] = _Seen(beat.count, 0.0)
                moved += before is not None
                continue
            before.stood_s += gap_s
            gone += before.stood_s > self._gap_s_max
            seen[beat.incarnation] = before
            if before.stood_s >= self._lease_ttl_s:
                over.append(beat)
        self._seen = seen
        if 2 * gone > count >= self._wanted - 1:
            self._wanted *= 2
        elif 2 * moved >= count:
            self._wanted = self._many
        return over

    @property
    def wanted(self) -> int:
        """How many to read next: twice as many each time, up to all, as long as most of those stand still or are dead.

        Else, when most of a large fleet is gone at once, nobody would be left who watches some of them.
        """
        return self._wanted

    def missed(self) -> None:
        """Note that a reading failed: the time until the next one counts for nobody."""
        self._read_at_s = None

    @property
    def known(self) -> int:
        """How many live workers the last reading showed."""
        return len(self._seen)
