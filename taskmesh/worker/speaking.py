"""What a child says to its mesh, whether that has one node or several: what is common to both.

The same for a child that runs one message at a time and for one that runs many at once. One thread claims, sleeps
and compares; outcomes may be added to the outbox by any.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from taskmesh.core import keys
from taskmesh.core.rate import Rate
from taskmesh.core.steps import Steps
from taskmesh.errors import Malformed, NodeFault, NodeUnavailable
from taskmesh.metrics.sheet import LOST
from taskmesh.nodes.link import Link
from taskmesh.queue.claim import Claimed, Claims
from taskmesh.queue.commit import REFUSED, RELEASED
from taskmesh.queue.rate import Start, ask_start
from taskmesh.replication.ask import plain
from taskmesh.worker.open_files import OpenFiles
from taskmesh.worker.operated import OperatedHere
from taskmesh.worker.options import ChildOrder
from taskmesh.worker.outbox import Outgoing
from taskmesh.worker.patience import run_patiently
from taskmesh.worker.pick import Pick
from taskmesh.worker.run_events import RunEvents

T = TypeVar("T")
log = logging.getLogger("taskmesh.worker")

#: An idle child looks by itself so often, in case a wake-up was lost.
LOOK_S = 1.0
#: And so often at most, while it waits for a delayed message: a timeout of 0 would be for ever.
LOOK_S_MIN = 0.002
#: How often a child compares what it holds with what the node says.
COMPARE_S = 10.0
#: One try at the node; a child goes on trying until it is told to stop.
PATIENCE_S = 5.0
#: How long a child that stops, and has nothing to commit, goes on asking: its supervisor puts back what it holds.
LEAVE_S = 1.0
#: How long a burst waits for delayed messages that are about to be due, since it last found any message.
DUE_SOON_S = 2.0

#: Messages that a child runs: id and token of each.
Held = Collection[tuple[bytes, bytes]]


class _Interrupted(BaseException):
    """The child is told to stop while nothing would be lost by that."""


def nothing() -> Held:
    """Return what a child holds that runs one message at a time, whenever it speaks with the node: nothing."""
    return ()


class Speaking(ABC):
    """One child's conversation with its mesh.

    Attributes:
        outbox: Outcomes that are to be committed.
        sequence: Of the last claim that was answered, as the page names it: see `claim_names`.
        is_idle: Whether the child may be handed a message with a wake-up.
        stopping: Whether it is to end.
    """

    outbox: Outgoing

    def __init__(
        self,
        link: Link,
        order: ChildOrder,
        build: bytes,
        dead_expires_s: int,
        holds: Callable[[], Held],
        count: Callable[[bytes], None],
    ) -> None:
        """Prepare.

        Args:
            link: To the mesh, which has been joined.
            order: What the child was told.
            build: What this build can run.
            dead_expires_s: How long dead letters are kept.
            holds: Returns what the child runs while it speaks with the mesh.
            count: Told the letters of outcomes that were committed, one for each, and `LOST` for one whose lease had
                been lost; by any thread.

        Raises:
            ConfigError: There is no strategy of the name that was ordered.
        """
        self.holder = order.holder
        self.sequence = 0
        self.is_idle = False
        self.link = link
        self.link.tells_restarts = False
        self._files: OpenFiles | None = None
        self.stopping = False
        self._at_leisure = False
        self._build = build
        self._holds = holds
        self._count = count
        self._dead_expires_s = dead_expires_s
        self._session = self.link.session
        self._wake_key = keys.wake(self.link.prefix, self.holder)
        self.operated = OperatedHere(self.link.clock.now_ms)
        self.events = RunEvents(self.link, order.worker, self.operated)
        self.pick = Pick(order, self.link, self.operated, time.monotonic())
        self._found_s = 0.0
        self._compare_at_s = time.monotonic() + COMPARE_S

    # -- what a child asks --------------------------------------------------------

    @property
    def is_outgrown(self) -> bool:
        """Whether a child that speaks otherwise is to take this one's place."""
        return False

    @property
    def source_count(self) -> int:
        """From how many sources it claims."""
        return self.pick.queue_count

    @abstractmethod
    def turn(self, most: int) -> Claims:
        """Commit what is finished and claim so much more, unless the child stops.

        Raises:
            NodeFault: `DEADWORKER`: nothing that was claimed is this worker's any more.
        """

    @abstractmethod
    def sleep(self) -> list[Claimed]:
        """Wait until woken, a second at most, and return what came with the wake-up."""

    @abstractmethod
    def sign_off(self) -> None:
        """Be handed no message with a wake-up until the next claim; what has been handed over goes back."""

    @abstractmethod
    def give_back(self, position: int = 0, *, sequence: int = 0) -> None:
        """Give back what waits behind a position of a claim, the last if none is named; 0 gives back all of it."""

    @abstractmethod
    def not_begun(self, batch: Sequence[Claimed]) -> None:
        """Take in that these messages of the last claim went back before they began."""

    @abstractmethod
    def compare(self) -> None:
        """Give back what is said to be held by this child, and which it does not know of."""

    @abstractmethod
    def next_due_ms(self) -> int:
        """Return when the next delayed message is due, on the clock of the link; 0 if none is known."""

    def serve_also(self, queue: str) -> None:
        """Claim from another queue, too, from the next claim on."""
        self.pick.serve_also(queue)

    def end_without_files(self, blame_nobody: Callable[[], None]) -> None:
        """Have this process end when it can make no connection for want of files.

        Args:
            blame_nobody: Has the page say that the end is no message's fault; called by any thread.
        """
        self._files = OpenFiles(blame_nobody)

    # -- stopping -----------------------------------------------------------------

    def interrupt(self) -> None:
        """Stop. To be called by a handler of signals, which runs in the thread that speaks with the node.

        If that waits for the node, and has nothing to commit, it waits no longer: the node may be down.
        """
        self.stopping = True
        if self._at_leisure:
            self._at_leisure = False
            raise _Interrupted

    def _leisurely(self, speak: Callable[[], T]) -> T | None:
        """Speak with the node unless told to stop; None if that was before the answer.

        What the node gave to this child meanwhile is given back by `sign_off`, or by whoever puts back what it held.
        """
        try:
            try:
                self._at_leisure = True
                return None if self.stopping else speak()
            finally:
                self._at_leisure = False
        except _Interrupted:
            return None

    def is_due_soon(self) -> bool:
        """Tell whether a delayed message is due so soon that the end of a burst waits for it.

        It may be of a queue of others; so nobody waits long for such.
        """
        next_due_ms = self.next_due_ms()
        if not next_due_ms or time.monotonic() - self._found_s > DUE_SOON_S:
            return False
        return next_due_ms - self.link.clock.now_ms() <= DUE_SOON_S * 1000

    def _patience_s(self) -> float:
        """Return how long to wait for a wake-up: nobody wakes a child for a message whose time has come."""
        # what operators set counts within a second, also for what is handed to an idle child
        look_s = max(LOOK_S_MIN, LOOK_S - self.operated.age_s(time.monotonic()))
        next_due_ms = self.next_due_ms()
        if not next_due_ms:
            return look_s
        return min(look_s, max(LOOK_S_MIN, (next_due_ms - self.link.clock.now_ms()) / 1000))

    def compare_now_and_then(self) -> None:
        """Compare, unless that was done a moment ago."""
        now_s = time.monotonic()
        if now_s >= self._compare_at_s:
            self._compare_at_s = now_s + COMPARE_S
            self.compare()

    def _judge(self, entries: Sequence[bytes], verdicts: bytes) -> None:
        letters = b"".join(entries[2::4])
        if self.events.has_ended:
            self.events.committed(entries, verdicts)
        if REFUSED not in verdicts:
            if letters:
                self._count(letters)
            return
        self._count(bytes(letters[at] for at, verdict in enumerate(verdicts) if verdict != REFUSED))
        refused = [letter for letter, verdict in zip(letters, verdicts, strict=True) if verdict == REFUSED]
        self._count(LOST * sum(letter != RELEASED[0] for letter in refused))
        for at, verdict in enumerate(verdicts):
            # what cannot be released is held by somebody else, or by nobody
            if verdict == REFUSED and letters[at : at + 1] != RELEASED:
                log.warning(
                    "the outcome of task %s was refused: its lease had been lost, and it runs or ran elsewhere",
                    entries[4 * at].decode(),
                )

    # -- small things -------------------------------------------------------------

    def fetch_function(self, content_hash: str) -> bytes | None:
        """Return the signed blob of a function that was sent by value; None if the node has none.

        Raises:
            Malformed: There is something else.
        """
        while True:
            try:
                found: bytes | None = self.ask(
                    plain(self._session, b"GET", keys.function(self.link.prefix, content_hash))
                )
            except NodeUnavailable as error:
                log.warning("%s; trying again", error)
                time.sleep(0.1)
                continue
            except NodeFault as error:
                raise Malformed(f"the function {content_hash} cannot be read: {error}") from error
            return found

    def ask_start(self, task: str, rate: Rate | None, task_id: str) -> Start:
        """Ask for a start of a limited task, repeating until the node answers; see `queue.rate`."""
        while True:
            try:
                return self.ask(ask_start(self._session, task, rate, task_id, patience_s=PATIENCE_S))
            except NodeUnavailable as error:
                log.warning("%s; trying again", error)

    def ask(self, steps: Steps[T]) -> T:
        """Run a protocol, and count errors that pass as no answer."""
        return self._ask_within(None, steps)

    def _patience_in(self, entries: Collection[bytes]) -> float:
        """Return how long to go on asking in one go, with such outcomes to commit."""
        return LEAVE_S if self.stopping and not entries else PATIENCE_S

    def _ask_for(self, patience_s: float, steps: Steps[T]) -> T:
        """As `ask`, and wait no longer for an answer than a child does that leaves, if so short a time is given."""
        return self._ask_within(LEAVE_S if patience_s == LEAVE_S else None, steps)

    def _ask_within(self, within_s: float | None, steps: Steps[T]) -> T:
        try:
            answer = run_patiently(self.link, steps, within_s=within_s)
        except NodeUnavailable as error:
            if self._files is not None and not isinstance(error.__cause__, NodeFault):
                self._files.missed()
            raise
        if self._files is not None:
            self._files.reached()
        return answer
