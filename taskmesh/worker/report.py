"""What a worker publishes of itself with each beat, made from the page that it shares with its children."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from taskmesh.codec.report import CHILDREN_MAX, BrokerReport, ChildReport, Report, encode_report
from taskmesh.core.keys import MANY_AT_ONCE
from taskmesh.core.state import STATE_OF
from taskmesh.nodes.link import Link
from taskmesh.worker.page import COUNTED, MANY, NOTHING, Page

#: Memory is read so often at most, and of so many processes.
MEMORY_S = 10.0
MEMORY_PROCESSES_MAX = 256
#: Of so many claims a report says when they were begun, of all children together.
BEGUN_MAX = 2048


class Place(NamedTuple):
    """Where a child sits.

    Attributes:
        number: Of the child.
        pid: Its process; 0 if not known yet.
        place: In the page.
    """

    number: int
    pid: int
    place: int


class Reporter:
    """Makes the reports of one life of a worker."""

    def __init__(
        self,
        link: Link,
        incarnation: bytes,
        *,
        pool: str,
        beat_s: float,
        processes: Sequence[int],
        now_s: float,
        broker: Callable[[], BrokerReport | None] = lambda: None,
    ) -> None:
        """Prepare.

        Args:
            link: To the mesh.
            incarnation: Of this life.
            pool: How tasks run side by side.
            beat_s: How often it is asked for a report.
            processes: Whose memory counts beside the children's.
            now_s: On the monotonic clock.
            broker: Returns what is known of the broker; None where there is none.
        """
        self._link = link
        self._incarnation = incarnation.decode()
        self._pool = pool
        self._beat_s = beat_s
        self._broker = broker
        self._processes = tuple(processes)
        self._began_s = now_s
        self._ended: Counter[int] = Counter()
        self._memory = 0
        self._memory_at_s = now_s

    def ended(self, page: Page, place: int) -> None:
        """Keep what a child has counted, before its place is given to another."""
        self._ended.update(dict(zip(COUNTED, page.counts(place), strict=True)))

    def report(self, page: Page, places: Iterable[Place], now_s: float) -> bytes:
        """Return the signed report of this moment.

        Args:
            page: Of the children.
            places: Of those that live.
            now_s: On the monotonic clock.
        """
        counts, children, left_out, room = self._ended.copy(), list[ChildReport](), 0, BEGUN_MAX
        now_ms = self._link.clock.now_ms()
        pids = list(self._processes)
        for child in places:
            counts.update(dict(zip(COUNTED, page.counts(child.place), strict=True)))
            pids.append(child.pid)
            if len(children) >= CHILDREN_MAX:
                left_out += 1
                continue
            children.append(_child_report(child, page, now_s, now_ms, room))
            room -= len(children[-1].begun)
        report = Report(
            self._incarnation,
            now_ms,
            self._beat_s,
            self._pool,
            round(now_s - self._began_s, 3),
            {STATE_OF[letter].value: counts[letter] for letter in COUNTED},
            self._resident(pids, now_s),
            children,
            left_out,
            self._broker(),
        )
        return encode_report(report, self._link.reports)

    def _resident(self, pids: Sequence[int], now_s: float) -> int:
        """Return the memory of all processes, as it was a short while ago; 0 where it is not read."""
        if len(pids) > MEMORY_PROCESSES_MAX:
            return 0
        if not self._memory or now_s >= self._memory_at_s:
            self._memory_at_s = now_s + MEMORY_S
            self._memory = sum(_rss(pid) for pid in pids)
        return self._memory


def _child_report(child: Place, page: Page, now_s: float, now_ms: int, begun_max: int) -> ChildReport:
    note, many = page.read(child.place), child.number >= MANY_AT_ONCE
    running = page.running(child.place) if many else int(note.position != NOTHING)
    begun = tuple(
        (sequence, _at_ms(at_s, now_s, now_ms)) for sequence, at_s in page.begun(child.place)[:begun_max]
    )
    if note.position in (NOTHING, MANY):
        return ChildReport(child.number, child.pid, many=many, running=running, begun=begun)
    started_ms = _at_ms(note.started_s, now_s, now_ms)
    return ChildReport(
        child.number,
        child.pid,
        note.sequence,
        note.position,
        note.total,
        started_ms,
        many=many,
        running=running,
        begun=begun,
    )


def _at_ms(moment_s: float, now_s: float, now_ms: int) -> int:
    """Return on the node's clock what was noted on the monotonic one."""
    return now_ms - int((now_s - moment_s) * 1000)


def _rss(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss) if pid else 0
    except psutil.Error:
        return 0  # it has just ended
