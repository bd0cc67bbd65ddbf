"""The ledger: what was promised, what was run, what was read; and the rules by which these must agree.

It is evidence and nothing else: no process, no node. Whoever causes a fault enters what it explains, and
everything that is not explained is an imbalance.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

FINAL = frozenset({"SUCCESS", "FAILURE", "REVOKED", "EXPIRED", "DEAD"})
#: How messages of each kind end.
ENDS = {"ok": "SUCCESS", "fail": "FAILURE", "poison": "DEAD", "overdue": "FAILURE"}
#: So many imbalances are shown.
SHOWN_MAX = 20


class Imbalance(AssertionError):
    """Promises and facts disagree."""


@dataclass(frozen=True, slots=True)
class Run:
    """One line of the book that tasks keep.

    Attributes:
        task_id: Which message.
        name: Of the run, which is also its value.
        crashes: How many crashes the message was charged with.
        pid: Where it ran.
        parent: The parent of that process.
        worker: Name of the worker.
    """

    task_id: str
    name: str
    crashes: int
    pid: int
    parent: int
    worker: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a reader saw of a message.

    Attributes:
        state: Its state.
        what: Its value or its error as text, once it is final.
    """

    state: str
    what: str = ""

    @property
    def is_final(self) -> bool:
        return self.state in FINAL


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reader saw, at one time, of many messages; what it found nothing of is left out."""

    reader: str
    seen: Mapping[str, Seen]


@dataclass(slots=True)
class Ledger:
    """Promises and facts.

    Attributes:
        accepted: Id -> kind of message, of those that the sender was told are recorded.
        unknown: The same, of those that may be.
        rejected: Ids that certainly are not, by the word of the sender.
        begins: Runs that began, in order.
        ends: Runs that came to their end, in order.
        readings: What was read, in order of time.
        counted: How many messages have ended by the node's own count; None if that cannot be told.
        gone: Processes that a fault has ended or cut off, or whose parent: what they ran may run again.
        suspected: Workers that others declared dead, and that say so: what they ran runs again.
        lost: Ids that another disk may have forgotten; nothing is demanded of them.
        older: Ids that an older disk may have brought back: they may run again and end with another outcome.
    """

    accepted: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    rejected: set[str] = field(default_factory=set)
    begins: list[Run] = field(default_factory=list)
    ends: list[Run] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    counted: int | None = None
    gone: set[int] = field(default_factory=set)
    suspected: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    older: set[str] = field(default_factory=set)

    # -- entering -----------------------------------------------------------------

    def read_book(self, path: Path) -> None:
        """Take over what the tasks wrote down."""
        self.begins, self.ends = [], []
        for line in path.read_text().splitlines() if path.exists() else ():
            what, task_id, name, crashes, pid, parent, worker = line.split()
            run = Run(task_id, name, int(crashes), int(pid), int(parent), worker)
            (self.begins if what == "begin" else self.ends).append(run)

    def note(self, reader: str, seen: Mapping[str, Seen]) -> None:
        """Enter what a reader saw."""
        self.readings.append(Reading(reader, seen))

    def sent(self) -> dict[str, str]:
        """Return id -> kind of all that is or may be recorded."""
        return self.accepted | self.unknown

    # -- checking -----------------------------------------------------------------

    def check(self) -> None:
        """Demand that it balances.

        Raises:
            Imbalance: It does not; the text lists what disagrees.
        """
        found = list(self.imbalances())
        if found:
            more = f"\n  and {len(found) - SHOWN_MAX} more" if len(found) > SHOWN_MAX else ""
            raise Imbalance(
                f"the ledger does not balance ({len(self.accepted)} accepted, {len(self.unknown)} unknown, "
                f"{len(self.rejected)} rejected, {len(self.begins)} begun, {len(self.ends)} ended):\n  "
                + "\n  ".join(found[:SHOWN_MAX])
                + more
            )

    def imbalances(self) -> Iterator[str]:
        """Yield each disagreement in words."""
        yield from self._readers()
        yield from self._lost()
        yield from self._changed()
        yield from self._wrong_ends()
        yield from self._rejected_but_there()
        yield from self._runs()
        yield from self._count()

    def _readers(self) -> Iterator[str]:
        """Each of two independent readers has read twice, or this proves little."""
        times: dict[str, int] = defaultdict(int)
        for reading in self.readings:
            times[reading.reader] += 1
        if sum(count >= 2 for count in times.values()) < 2:
            yield f"two readers should have read twice each, and did {dict(times)}"

    def _lost(self) -> Iterator[str]:
        """Nothing accepted is lost: the last readings of all show it final."""
        for reading in self._last_readings():
            for task_id in self.accepted.keys() - self.lost:
                seen = reading.seen.get(task_id)
                if seen is None:
                    yield f"{task_id} was accepted, and {reading.reader} finds nothing"
                elif not seen.is_final:
                    yield f"{task_id} was accepted, and {reading.reader} sees it {seen.state}"
            for task_id in self.unknown.keys() - self.lost:
                seen = reading.seen.get(task_id)
                if seen is not None and not seen.is_final:
                    yield f"{task_id} may be recorded, and {reading.reader} sees it {seen.state} for ever"

    def _last_readings(self) -> list[Reading]:
        return list({reading.reader: reading for reading in self.readings}.values())

    def _changed(self) -> Iterator[str]:
        """What anybody has seen final, nobody sees otherwise later."""
        first: dict[str, tuple[str, Seen]] = {}
        for reading in self.readings:
            for task_id, (reader, before) in first.items():
                now = reading.seen.get(task_id)
                if now != before and task_id not in self.older and task_id not in self.lost:
                    yield f"{task_id} was {before} to {reader}, and is {now} to {reading.reader}"
            for task_id, seen in reading.seen.items():
                if seen.is_final:
                    first.setdefault(task_id, (reading.reader, seen))

    def _wrong_ends(self) -> Iterator[str]:
        """Each kind ends in its way, with the outcome of a run of its own that came to its end."""
        ended = defaultdict(set)
        for run in self.ends:
            ended[run.task_id].add(run.name)
        sent = self.sent()
        for reading in self._last_readings():
            for task_id, seen in reading.seen.items():
                if not seen.is_final or task_id not in sent:
                    continue
                if seen.state != ENDS[sent[task_id]]:
                    yield f"{task_id} is of kind {sent[task_id]!r}, and {reading.reader} sees {seen}"
                elif sent[task_id] == "overdue":
                    if "time_limit" not in seen.what or ended[task_id]:
                        yield f"{task_id} should be ended by its limit, and {reading.reader} sees {seen}"
                elif seen.state in ("SUCCESS", "FAILURE") and seen.what not in ended[task_id]:
                    yield f"{task_id} has the outcome {seen.what!r}, and its runs were {ended[task_id]}"

    def _rejected_but_there(self) -> Iterator[str]:
        """What was rejected has no record and is never run."""
        for reading in self.readings:
            for task_id in self.rejected & reading.seen.keys():
                yield f"{task_id} was rejected, and {reading.reader} sees {reading.seen[task_id]}"

    def _runs(self) -> Iterator[str]:
        """Only what was sent is run, and again only where a fault explains it."""
        sent, runs = self.sent(), defaultdict(list)
        for run in self.begins:
            runs[run.task_id].append(run)
            if run.task_id not in sent:
                why = "rejected" if run.task_id in self.rejected else "never sent"
                yield f"{run.task_id} was {why}, and was run"
        for task_id, begun in runs.items():
            if task_id in self.older or task_id in self.lost or sent.get(task_id) == "poison":
                continue
            # in any order: who was stopped past his lease may begin what others have run since
            for run in [run for run in begun if not self._is_explained(run)][:-1]:
                yield f"{task_id} was begun {len(begun)} times, and process {run.pid} was never harmed"
        finished = {run.name for run in self.begins}
        for run in self.ends:
            if run.name not in finished:
                yield f"run {run.name} of {run.task_id} ended and never began"

    def _is_explained(self, run: Run) -> bool:
        return run.pid in self.gone or run.parent in self.gone or run.worker in self.suspected

    def _count(self) -> Iterator[str]:
        """None is committed twice: the node has counted as many ends as there are."""
        if self.counted is None:
            return
        final = {
            task_id
            for reading in self._last_readings()
            for task_id, seen in reading.seen.items()
            if seen.is_final
        }
        if self.counted != len(final):
            yield f"the node has counted {self.counted} ends, and {len(final)} messages have ended"
