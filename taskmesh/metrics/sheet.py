"""Where a child counts: a sheet in the memory that it shares with its supervisor, after the places of the page.

Words of 8 bytes, each written whole, by this child alone: so the supervisor reads no half of a number, and what a
child has counted outlasts it, however it died. A header of 16 words: how many names there are, which row runs (its
number from 1; of a child that runs one message at a time), whether the child lives, claims, messages of these, leases
lost, and commits by outcome (10). Then 101 rows of 61 words: the name of a task (120 bytes, zeros behind it), run
time (17 buckets and their sum, a double), waiting time (likewise), and runs by outcome (10). The first row has no
name: it is for all tasks beyond 100.

A child begins a row by its name, and counts it then: a row that is half written is not read. Tiny tasks are written
down together at the end of their claim, so a child that is killed takes with it what it counted in its last
milliseconds; those runs were not committed either.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from mmap import mmap

from taskmesh.metrics.bounded import NAMES_MAX, OTHER
from taskmesh.metrics.buckets import BOUNDS_S, BUCKETS

#: How a run or a commit may end, by its letter: see `commit.lua`.
OUTCOMES = {
    "K": "success",
    "F": "failure",
    "Y": "retry",
    "D": "dead",
    "X": "expired",
    "V": "revoked",
    "P": "released",
    "Q": "requeued",
    "Z": "snoozed",
    "S": "parked",
}
SUCCESS = b"K"
#: A letter for an outcome that was refused since its lease had been lost.
LOST = b"!"

#: What takes longer is written down at once, the rest together at the end of a claim: some 20 ms of work.
TINY_S = 0.001

#: Of so many tasks of the app it is known beforehand that they are told apart.
EXPECTED_MAX = NAMES_MAX // 2

_WORD = 8
_NAME_BYTES = 120
_NAMES, _RUNNING, _LIVES, CLAIMS, CLAIMED, LEASES_LOST, COMMITS = range(7)
HEADER = COMMITS + len(OUTCOMES)
#: Of a row without its name: where what begins.
RUN, RUN_SUM = 0, BUCKETS
WAIT, WAIT_SUM = BUCKETS + 1, 2 * BUCKETS + 1
ENDS = 2 * BUCKETS + 2
RETRIES = ENDS + list(OUTCOMES).index("Y")
ROW = ENDS + len(OUTCOMES)
_NAME_WORDS = _NAME_BYTES // _WORD
_ROW_WORDS = _NAME_WORDS + ROW
SHEET_BYTES = _WORD * (HEADER + (NAMES_MAX + 1) * _ROW_WORDS)

_AT_END = {letter.encode(): ENDS + at for at, letter in enumerate(OUTCOMES)}
_AT_COMMIT = {ord(letter): COMMITS + at for at, letter in enumerate(OUTCOMES)} | {LOST[0]: LEASES_LOST}


def _row_at(number: int) -> int:
    """Return where a row begins, behind its name."""
    return HEADER + number * _ROW_WORDS + _NAME_WORDS


def expected(tasks: Iterable[str]) -> list[str]:
    """Return the tasks of an app that are told apart whatever else runs, such as functions that are sent by value."""
    return sorted(tasks)[:EXPECTED_MAX]


class Row:
    """What a child has counted of one task and not written down yet.

    Attributes:
        number: Of the row; 0 for the tasks that have none of their own.
        runs: How long runs took.
        waits: How long messages waited.
        letters: How runs ended.
        is_dirty: Whether there is anything.
    """

    __slots__ = ("is_dirty", "letters", "number", "runs", "waits")

    def __init__(self, number: int) -> None:
        self.number = number
        self.runs: list[float] = []
        self.waits: list[float] = []
        self.letters: list[bytes] = []
        self.is_dirty = False


class Sheet:
    """A child's sheet, as the child has it that runs one message at a time, and as its supervisor reads it."""

    def __init__(self, memory: mmap, at: int) -> None:
        """Take the sheet that begins at an offset of the memory; its words stand on multiples of 8."""
        self._bytes = memoryview(memory)[at : at + SHEET_BYTES]
        self._words = self._bytes.cast("Q")
        self._sums = self._bytes.cast("d")
        self._rows: dict[str, Row] = {}
        self._beyond = Row(0)
        self._running: Row | None = None
        self._dirty: list[Row] = []
        self._committing = threading.Lock()

    def clear(self) -> None:
        """Prepare it for a new child."""
        self._bytes[:] = bytes(SHEET_BYTES)

    # -- what a child says -------------------------------------------------------------

    def lives(self, tasks: Iterable[str] = ()) -> None:
        """Say that this child is about to claim.

        Args:
            tasks: Of its app; those that `expected` returns get rows of their own before others come.
        """
        for task in expected(tasks):
            self._new_row(task)
        self._words[_LIVES] = 1

    def claimed(self, count: int) -> None:
        """Count a claim of so many messages."""
        self._words[CLAIMS] += 1
        self._words[CLAIMED] += count

    def committed(self, letters: bytes) -> None:
        """Count outcomes by their letters; any thread may."""
        words = self._words
        with self._committing:
            for letter in letters:
                at = _AT_COMMIT.get(letter)
                if at is not None:
                    words[at] += 1

    def begin(self, task: str, waited_s: float) -> Row:
        """Note that a run begins, and return its row.

        Args:
            task: Its name.
            waited_s: How long its message has waited; negative if that does not count.
        """
        row = self._rows.get(task)
        if row is None:
            row = self._new_row(task)
        if row is not self._running:
            self._running = row
            self._words[_RUNNING] = row.number + 1
        if waited_s >= 0:
            row.waits.append(waited_s)
        return row

    def end(self, row: Row, letter: bytes, ran_s: float) -> None:
        """Count a run that has ended: at once, or after a tiny one with the next flush.

        Args:
            row: As `begin` returned it.
            letter: How it ended.
            ran_s: How long it took.
        """
        row.runs.append(ran_s)
        row.letters.append(letter)
        if not row.is_dirty:
            row.is_dirty = True
            self._dirty.append(row)
        if ran_s > TINY_S:
            self.flush()

    def flush(self) -> None:
        """Write down what was counted."""
        for row in self._dirty:
            self._write(row)
        self._dirty.clear()

    def _write(self, row: Row) -> None:
        words, at = self._words, _row_at(row.number)
        self._add_times(at + RUN, at + RUN_SUM, row.runs)
        self._add_times(at + WAIT, at + WAIT_SUM, row.waits)
        succeeded = row.letters.count(SUCCESS)
        words[at + _AT_END[SUCCESS]] += succeeded
        if succeeded < len(row.letters):
            for letter in row.letters:
                if letter != SUCCESS:
                    words[at + _AT_END[letter]] += 1
        row.letters.clear()
        row.is_dirty = False

    def _add_times(self, at: int, sum_at: int, times: list[float]) -> None:
        """Add times to buckets: all of a claim together cost little more than one."""
        if not times:
            return
        words, below = self._words, 0
        self._sums[sum_at] += sum(times)
        times.sort()
        for bucket in range(bisect_left(BOUNDS_S, times[0]), BUCKETS):
            up_to = bisect_right(times, BOUNDS_S[bucket], below) if bucket < len(BOUNDS_S) else len(times)
            if up_to > below:
                words[at + bucket] += up_to - below
                below = up_to
            if below == len(times):
                break
        times.clear()

    def _new_row(self, task: str) -> Row:
        count = self._words[_NAMES]
        if count >= NAMES_MAX:
            return self._beyond
        row = Row(count + 1)
        name = task.encode(errors="replace")[:_NAME_BYTES]
        at = (_row_at(row.number) - _NAME_WORDS) * _WORD
        self._bytes[at : at + len(name)] = name
        self._words[_NAMES] = row.number
        self._rows[task] = row
        return row

    # -- what the supervisor reads -----------------------------------------------------

    @property
    def is_living(self) -> bool:
        """Whether the child has begun to claim."""
        return bool(self._words[_LIVES])

    def running(self) -> str:
        """Return what the child runs, or ran last; empty if that is not known."""
        number = self._words[_RUNNING]
        return self._name(number - 1) if 0 < number <= NAMES_MAX + 1 else ""

    def header(self) -> list[int]:
        """Return the header; what a child wrote over it is no harm beyond wrong numbers."""
        return self._words[:HEADER].tolist()

    def rows(self) -> list[tuple[str, list[float]]]:
        """Return the rows with anything in them: the name, and the numbers as `RUN` and the others place them."""
        found: list[tuple[str, list[float]]] = []
        for number in range(min(self._words[_NAMES], NAMES_MAX) + 1):
            at = _row_at(number)
            row: list[float] = list(self._words[at : at + ROW])
            row[RUN_SUM], row[WAIT_SUM] = self._sums[at + RUN_SUM], self._sums[at + WAIT_SUM]
            if any(row):
                found.append((self._name(number), row))
        return found

    def _name(self, number: int) -> str:
        if not number:
            return OTHER
        at = (_row_at(number) - _NAME_WORDS) * _WORD
        return bytes(self._bytes[at : at + _NAME_BYTES]).rstrip(b"\0").decode(errors="replace")


class SharedSheet(Sheet):
    """As the threads of a child count that runs many messages at once; none of these is known by name when it dies."""

    def __init__(self, memory: mmap, at: int) -> None:
        """As `Sheet`."""
        super().__init__(memory, at)
        self._counting = threading.RLock()

    def begin(self, task: str, waited_s: float) -> Row:
        """See `Sheet`."""
        with self._counting:
            row = self._rows.get(task)
            if row is None:
                row = self._new_row(task)
            if waited_s >= 0:
                row.waits.append(waited_s)
            return row

    def end(self, row: Row, letter: bytes, ran_s: float) -> None:
        """See `Sheet`."""
        with self._counting:
            super().end(row, letter, ran_s)

    def flush(self) -> None:
        """See `Sheet`."""
        with self._counting:
            super().flush()

    def committed(self, letters: bytes) -> None:
        """See `Sheet`. Nobody runs claim by claim here, so this is the time to write down the rest."""
        super().committed(letters)
        self.flush()
