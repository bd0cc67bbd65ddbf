"""Where a child counts: a sheet in the memory that it shares with its supervisor, after the places of the page.

Words of 8 bytes, each written whole, by this child alone: so the supervisor reads no half of a number, and what a
child has counted outlasts it, however it died. A header of 16 words: how many names there are, which row runs (its
number from 1; of a child that runs one message at a time), whether the child lives, claims, messages of these, leases
lost, and commits by outcome (10). Then 101 rows of 61 words: the name of a task (120 bytes, zeros behind it), run
time (17 buckets and their sum, a double), waiting time (likewise), and runs by outcome (10). The first row has no
name: it is for all tasks beyond 100.

A child begins a row by its name, and counts it then: a row that is half written is not read.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
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
#: A letter for an outcome that was refused since its lease had been lost.
LOST = b"!"

_WORD = 8
_NAME_BYTES = 120
_NAMES, _RUNNING, _LIVES, CLAIMS, CLAIMED, LEASES_LOST, COMMITS = range(7)
HEADER = COMMITS + len(OUTCOMES)
#: Of a row without its name: where what begins.
RUN, RUN_SUM = 0, BUCKETS
WAIT, WAIT_SUM = BUCKETS + 1, 2 * BUCKETS + 1
ENDS = 2 * BUCKETS + 2
ROW = ENDS + len(OUTCOMES)
_NAME_WORDS = _NAME_BYTES // _WORD
_ROW_WORDS = _NAME_WORDS + ROW
SHEET_BYTES = _WORD * (HEADER + (NAMES_MAX + 1) * _ROW_WORDS)

_AT_END = {letter.encode(): ENDS + at for at, letter in enumerate(OUTCOMES)}
_AT_COMMIT = {ord(letter): COMMITS + at for at, letter in enumerate(OUTCOMES)} | {LOST[0]: LEASES_LOST}


def _row_at(number: int) -> int:
    """Return where a row begins, behind its name."""
    return HEADER + number * _ROW_WORDS + _NAME_WORDS


class Sheet:
    """A child's sheet, as the child has it that runs one message at a time, and as its supervisor reads it."""

    def __init__(self, memory: mmap, at: int) -> None:
        """Take the sheet that begins at an offset of the memory; its words stand on multiples of 8."""
        self._bytes = memoryview(memory)[at : at + SHEET_BYTES]
        self._words = self._bytes.cast("Q")
        self._sums = self._bytes.cast("d")
        self._rows: dict[str, int] = {}
        self._committing = threading.Lock()

    def clear(self) -> None:
        """Prepare it for a new child."""
        self._bytes[:] = bytes(SHEET_BYTES)

    # -- what a child says -------------------------------------------------------------

    def lives(self) -> None:
        """Say that this child is about to claim."""
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

    def begin(self, task: str, waited_s: float) -> int:
        """Note that a run begins, and return its row.

        Args:
            task: Its name.
            waited_s: How long its message has waited; negative if that does not count.
        """
        row = self._row(task, waited_s)
        self._words[_RUNNING] = (row - HEADER) // _ROW_WORDS + 1
        return row

    def end(self, row: int, letter: bytes, ran_s: float) -> None:
        """Count a run that has ended.

        Args:
            row: As `begin` returned it.
            letter: How it ended.
            ran_s: How long it took.
        """
        self._ended(row, letter, ran_s)
        self._words[_RUNNING] = 0

    def _row(self, task: str, waited_s: float) -> int:
        row = self._rows.get(task)
        if row is None:
            row = self._new_row(task)
        if waited_s >= 0:
            self._words[row + WAIT + bisect_left(BOUNDS_S, waited_s)] += 1
            self._sums[row + WAIT_SUM] += waited_s
        return row

    def _ended(self, row: int, letter: bytes, ran_s: float) -> None:
        self._words[row + RUN + bisect_left(BOUNDS_S, ran_s)] += 1
        self._sums[row + RUN_SUM] += ran_s
        self._words[row + _AT_END[letter]] += 1

    def _new_row(self, task: str) -> int:
        count = self._words[_NAMES]
        if count >= NAMES_MAX:
            return _row_at(0)
        row = _row_at(count + 1)
        name = task.encode(errors="replace")[:_NAME_BYTES]
        at = (row - _NAME_WORDS) * _WORD
        self._bytes[at : at + len(name)] = name
        self._words[_NAMES] = count + 1
        self._rows[task] = row
        return row

    # -- what the supervisor reads -----------------------------------------------------

    @property
    def is_living(self) -> bool:
        """Whether the child has begun to claim."""
        return bool(self._words[_LIVES])

    def running(self) -> str:
        """Return what the child runs, or ran when it died; empty if that is not known."""
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
        self._counting = threading.Lock()

    def begin(self, task: str, waited_s: float) -> int:
        """See `Sheet`."""
        with self._counting:
            return self._row(task, waited_s)

    def end(self, row: int, letter: bytes, ran_s: float) -> None:
        """See `Sheet`."""
        with self._counting:
            self._ended(row, letter, ran_s)
