"""What a child that runs many messages at once is running, and what the page says of it."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Sequence

from taskmesh.queue.claim import Claimed
from taskmesh.worker.limits import wait_for_the_end
from taskmesh.worker.outbox import Done
from taskmesh.worker.page import CLAIMS_NOTED_MAX, MANY, NO_DEADLINE, NOTHING, Deadline, Desk, name_of

#: A message, by id and token: one that runs twice, since a lease was lost, is two.
Message = tuple[bytes, bytes]


class InFlight:
    """The messages that run now. Any thread may say that one has ended."""

    def __init__(self, desk: Desk) -> None:
        """Prepare.

        Args:
            desk: The child's place in the page, which says which one runs, or that several do.
        """
        self._desk = desk
        self._running: dict[Message, tuple[int, int]] = {}
        self._left: dict[int, int] = {}
        # where the page says since when a claim runs
        self._lines: dict[int, int] = {}
        self._free_lines = list(range(CLAIMS_NOTED_MAX))
        self._suspect: Message | None = None
        self._deadlines: dict[Message, Deadline] = {}
        # the first one first; what was taken back is dropped when it comes to the front
        self._by_time: list[tuple[float, int, Message]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition(threading.Lock())
        self._awaited = False
        self._ended = 0

    def __len__(self) -> int:
        """How many run."""
        return len(self._running)

    def __contains__(self, message: Message) -> bool:
        return message in self._running

    def held(self) -> list[Message]:
        """Return what runs."""
        with self._changed:
            return list(self._running)

    def begin(self, sequence: int, batch: Sequence[Claimed], *, suspect: bool = False) -> None:
        """Add the messages of one claim; they may be started after this.

        Args:
            sequence: Of the claim.
            batch: Its messages, in its order.
            suspect: The page is to name the only one of them until it ends, whatever else runs.
        """
        with self._changed:
            for position, claimed in enumerate(batch, 1):
                self._running[claimed.task_id, claimed.token] = sequence, position
            self._left[sequence] = len(batch)
            if self._free_lines:
                line = self._lines[sequence] = self._free_lines.pop()
                self._desk.begin_claim(line, sequence, time.monotonic())
            self._desk.running(len(self._running))
            if suspect:
                self._suspect = batch[0].task_id, batch[0].token
            self._note()

    def end(self, claimed: Claimed) -> Done | None:
        """Take out a message whose outcome is in the outbox; return its claim if that was the last of it."""
        message = claimed.task_id, claimed.token
        with self._changed:
            sequence, _ = self._running.pop(message)
            self._ended += 1
            if self._deadlines.pop(message, None) is not None:
                # it was called off in this very moment
                self._note_deadline()
            self._desk.running(len(self._running))
            left = self._left[sequence] - 1
            if left:
                self._left[sequence] = left
            else:
                del self._left[sequence]
                line = self._lines.pop(sequence, None)
                if line is not None:
                    self._desk.begin_claim(line, 0, 0.0)
                    self._free_lines.append(line)
            if message == self._suspect:
                self._suspect = None
                self._note()
            elif len(self._running) < 2:
                self._note()
            if self._awaited:
                self._changed.notify_all()
        return None if left else (sequence, claimed.epoch)

    def set_deadline(self, message: Message, until_s: float, limit_s: float) -> None:
        """Have the page say when a message must have ended, if it is the first of those that run.

        Args:
            message: By id and token.
            until_s: On the monotonic clock.
            limit_s: How long it was given.
        """
        with self._changed:
            self._set_deadline(message, until_s, limit_s)

    def call_off(self, sequence: int, position: int, until_s: float) -> Message | None:
        """Have the page say by when a run must have ended, unless it must sooner.

        Args:
            sequence: Of the claim.
            position: Of the message in it, from 1.
            until_s: On the monotonic clock.

        Returns:
            The message; None if it does not run.
        """
        with self._changed:
            for message, where in self._running.items():
                if where == (sequence, position):
                    self._set_deadline(message, until_s, 0.0)
                    return message
        return None

    def _set_deadline(self, message: Message, until_s: float, limit_s: float) -> None:
        before = self._deadlines.get(message)
        if before is not None and before.until_s <= until_s:
            return
        self._deadlines[message] = Deadline(until_s, limit_s, *self._running[message], name_of(message[0]))
        heapq.heappush(self._by_time, (until_s, next(self._numbers), message))
        self._note_deadline()

    def clear_deadline(self, message: Message) -> None:
        """Take a deadline back. Does not return if the process is about to be ended for it."""
        with self._changed:
            deadline = self._deadlines.pop(message, None)
            if deadline is not None:
                self._note_deadline()
        if deadline is not None:
            wait_for_the_end(self._desk, deadline.sequence)

    def _note_deadline(self) -> None:
        by_time, deadlines = self._by_time, self._deadlines
        while by_time:
            until_s, _, message = by_time[0]
            deadline = deadlines.get(message)
            if deadline is not None and deadline.until_s == until_s:
                self._desk.set_deadline(deadline)
                return
            heapq.heappop(by_time)
        self._desk.set_deadline(NO_DEADLINE)

    def not_counted(self) -> int:
        """Return how many run, or have ended and are not counted yet."""
        return len(self._running) + self._ended

    def take_ended(self) -> int:
        """Return how many have ended since this was last asked, and count them."""
        with self._changed:
            ended, self._ended = self._ended, 0
        return ended

    def wait(self, most: int, timeout_s: float) -> bool:
        """Wait until so many run at most, and tell whether they do."""
        with self._changed:
            self._awaited = True
            try:
                return self._changed.wait_for(lambda: len(self._running) <= most, timeout_s)
            finally:
                self._awaited = False

    def clear_page(self) -> None:
        """Have the page say that nothing runs: what this process is about to do is no message's fault."""
        self._desk.note(0, NOTHING, 0, time.monotonic())

    def _note(self) -> None:
        running, now_s = self._running, time.monotonic()
        if self._suspect is not None:
            self._note_one(self._suspect, now_s)
        elif not running:
            self._desk.note(0, NOTHING, 0, now_s)
        elif len(running) == 1:
            self._note_one(next(iter(running)), now_s)
        else:
            self._desk.note(0, MANY, MANY, now_s)

    def _note_one(self, message: Message, now_s: float) -> None:
        sequence, position = self._running[message]
        # nothing waits behind it that could be recalled
        self._desk.note(sequence, position, position, now_s, name_of(message[0]))
