"""Outcomes of a child that are not committed yet, and claims of which nothing is left to run.

Tiny tasks are committed together. None waits longer than 5 ms if the interpreter lets go of its lock:
the child looks at the age after each message, and a thread looks while a message runs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from taskmesh.queue.commit import NO_EPOCH

log = logging.getLogger("taskmesh.worker")

#: How long an outcome may wait for others.
HOLD_S = 0.005

#: A claim of which nothing is held any more: its sequence, and the epoch of its tokens.
Done: TypeAlias = tuple[int, bytes]


class Outgoing(Protocol):
    """Where a child puts outcomes, as `Outbox` says it."""

    def __len__(self) -> int:
        """How many outcomes wait."""

    def add(self, task_id: bytes, token: bytes, letter: bytes, outcome: bytes, now_s: float) -> None:
        """Add an outcome."""

    def close_claim(self, sequence: int, epoch: bytes) -> None:
        """Add that nothing of a claim is left to run."""

    def open(self) -> None:
        """Start what threads it needs."""

    def is_late(self, now_s: float) -> bool:
        """Tell whether something has waited long enough."""

    def hurry(self) -> None:
        """Have a thread commit now."""

    def flush(self) -> None:
        """Commit now."""

    def finish(self) -> None:
        """Commit everything, since no more comes."""

    def close(self) -> None:
        """Stop the threads."""


class Outbox:
    """Collects outcomes and has them committed, by the child itself or by a thread of its own.

    Attributes:
        has_lost: Whether an outcome was refused. Then the node may have forgotten this child for a while, and what
            it was asked before, and is late, may stand for a claim of the same sequence: it is to look whether
            anything is held before it lets go of one.
    """

    def __init__(self, commit: Callable[[list[bytes], list[Done]], None]) -> None:
        """Prepare.

        Args:
            commit: Commits entries (flat: id, token, letter, outcome) and lets go of claims, repeating until it
                is done.
        """
        self.has_lost = False
        self._commit = commit
        self._entries: list[bytes] = []
        self._done: list[Done] = []
        # what was taken and may not be committed yet
        self._out: list[bytes] = []
        self._since_s = 0.0
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._filled = threading.Event()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False

    def __len__(self) -> int:
        """How many outcomes wait."""
        return len(self._entries) // 4

    def add(self, task_id: bytes, token: bytes, letter: bytes, outcome: bytes, now_s: float) -> None:
        """Add an outcome."""
        self.add_entries((task_id, token, letter, outcome), now_s)

    def add_entries(self, entries: Sequence[bytes], now_s: float) -> None:
        """Add what is to be committed together, as `commit` takes it."""
        with self._lock:
            if not self._entries and not self._done:
                self._since_s = now_s
            self._entries += entries
        if not self._filled.is_set():
            self._fill()

    def close_claim(self, sequence: int, epoch: bytes) -> None:
        """Add that nothing of a claim is left to run; the outcomes of all of it were added before."""
        with self._lock:
            if not self._entries and not self._done:
                self._since_s = time.monotonic()
            self._done.append((sequence, NO_EPOCH if self.has_lost else epoch))
        if not self._filled.is_set():
            self._fill()

    def open(self) -> None:
        """Start the thread now, where there may be none to be had later."""
        self._fill()

    def _fill(self) -> None:
        self._filled.set()
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._watch, name="taskmesh-outbox", daemon=True)
                    self._thread.start()

    def is_late(self, now_s: float) -> bool:
        """Tell whether an outcome, or the end of a claim, has waited long enough."""
        return bool(self._entries or self._done) and now_s - self._since_s >= HOLD_S

    def hurry(self) -> None:
        """Have the thread commit now: no other outcome is to be expected soon."""
        self._hurry.set()

    def try_take(self) -> tuple[list[bytes], list[Done]] | None:
        """Take everything, or None while the thread is sending. It sends nothing until `sent` or `put_back`."""
        return self._take() if self._sending.acquire(blocking=False) else None

    def sent(self) -> None:
        """Say that what was taken has been committed."""
        self._out = []
        self._sending.release()

    def put_back(self, entries: list[bytes], done: list[Done]) -> None:
        """Have what was taken leave with the thread."""
        with self._lock:
            self._entries = entries + self._entries
            self._done = done + self._done
            self._out = []
        self._sending.release()
        if entries or done:
            self._fill()

    def messages(self) -> set[tuple[bytes, bytes]]:
        """Return id and token of each whose outcome is not known to be committed."""
        with self._lock:
            entries = self._entries + self._out
        return set(zip(entries[::4], entries[1::4], strict=True))

    def take(self) -> tuple[list[bytes], list[Done]]:
        """Take everything, after what the thread is sending has been committed."""
        with self._sending:
            return self._take()

    def _take(self) -> tuple[list[bytes], list[Done]]:
        with self._lock:
            entries, self._entries = self._entries, []
            done, self._done = self._done, []
            self._out = entries
        return entries, done

    def flush(self) -> None:
        """Commit everything now."""
        with self._sending:
            entries, done = self._take()
            if entries or done:
                self._commit(entries, done)
                self._out = []

    def finish(self) -> None:
        """Commit everything, since no more comes."""
        self.flush()

    def close(self) -> None:
        """Stop the thread."""
        self._closed = True
        self._filled.set()
        self._hurry.set()

    def _watch(self) -> None:
        while not self._closed:
            self._filled.wait()
            hurried = self._hurry.wait(HOLD_S)
            self._hurry.clear()
            if not self._entries and not self._done:
                self._filled.clear()
                # something may have been added in between, when the event was still set
                if self._entries or self._done:
                    self._filled.set()
            elif hurried or self.is_late(time.monotonic()):
                try:
                    self.flush()
                except Exception:
                    # the edge of this thread: the entries are lost to this child, so its lease must end
                    log.exception("outcomes cannot be committed; this child ends, and its messages run again")
                    import os

                    os._exit(1)
