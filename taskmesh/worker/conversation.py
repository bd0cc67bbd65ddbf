"""What a child says to the node: it claims, commits, sleeps until it is woken, and compares what it holds.

The same for a child that runs one message at a time and for one that runs many at once. One thread claims, sleeps
and compares; outcomes may be added to the outbox by any.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, TypeVar

from taskmesh.core import keys
from taskmesh.core.rate import Rate
from taskmesh.core.record import TOKEN
from taskmesh.core.steps import Call, NoAnswer, NodeError, Refused, Steps
from taskmesh.errors import Malformed, NodeFault, NodeUnavailable
from taskmesh.queue.claim import ELSEWHERE, Claimed, Claims, claim, handed_off, held, recall
from taskmesh.queue.commit import COMMIT_MAX, REFUSED, RELEASED, commit
from taskmesh.queue.rate import Start, ask_start
from taskmesh.queue.setting import look_at_operated
from taskmesh.queue.turn import turn
from taskmesh.replication.ask import plain
from taskmesh.worker.host import App
from taskmesh.worker.open_files import OpenFiles
from taskmesh.worker.operated import OperatedHere
from taskmesh.worker.options import ChildOrder
from taskmesh.worker.outbox import Done, Outbox
from taskmesh.worker.patience import run_patiently, text_of
from taskmesh.worker.pick import Pick

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


class Conversation:
    """One child's conversation with the node."""

    def __init__(
        self,
        mesh: App,
        order: ChildOrder,
        build: bytes,
        *,
        holds: Callable[[], Held] = nothing,
        count: Callable[[bytes], None] = lambda _letters: None,
    ) -> None:
        """Join the mesh.

        Args:
            mesh: The app.
            order: What the child was told.
            build: What this build can run.
            holds: Returns what the child runs while it speaks with the node.
            count: Told the letters of outcomes that were committed, one for each; by any thread.

        Raises:
            NodeUnavailable: It cannot be joined now.
            ConfigError: It cannot be joined at all, or there is no strategy of the name that was ordered.
        """
        self.holder = order.holder
        self.link = mesh.link.open()
        self.link.tells_restarts = False
        self._files: OpenFiles | None = None
        self.outbox = Outbox(self.commit)
        self.stopping = False
        self._at_leisure = False
        self.sequence = 0
        self.is_idle = False
        self._build = build
        self._holds = holds
        self._count = count
        self._dead_expires_s = int(mesh.settings.dead_letter_expires)
        self._session = self.link.session
        self._wake_key = keys.wake(self.link.prefix, self.holder)
        self.operated = OperatedHere()
        self.pick = Pick(order, self.link, self.operated, time.monotonic())
        self._next_due_ms = 0
        self._found_s = 0.0
        self._compare_at_s = time.monotonic() + COMPARE_S
        self._epoch = self._session.epoch

    def end_without_files(self, blame_nobody: Callable[[], None]) -> None:
        """Have this process end when it can make no connection for want of files.

        Args:
            blame_nobody: Has the page say that the end is no message's fault; called by any thread.
        """
        self._files = OpenFiles(blame_nobody)

    @property
    def queue_count(self) -> int:
        """From how many queues it claims."""
        return self.pick.queue_count

    def serve_also(self, queue: str) -> None:
        """Claim from another queue, too, from the next claim on."""
        self.pick.serve_also(queue)

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

    # -- claims and commits -------------------------------------------------------

    def turn(self, most: int) -> Claims:
        """Commit what is finished and claim so much more, unless the child stops.

        Raises:
            NodeFault: `DEADWORKER`: nothing that was claimed is this worker's any more.
        """
        if self._session.epoch != self._epoch:
            # the node was started anew, perhaps with an older disk, which may say that this child holds something
            self._epoch = self._session.epoch
            self.compare()
        asked_s = time.monotonic()
        if self.operated.is_due(asked_s):
            look = look_at_operated(self._session)
            self.operated.take(self._leisurely(lambda: self.link.driver.run(look)), asked_s)
        # once, before the first try: a repeat is answered as what it repeats
        queues = self.pick.order(asked_s)
        entries, done = self.outbox.take()
        if len(entries) > 4 * COMMIT_MAX:
            self.commit(entries, done)
            entries, done = [], []
        while True:
            try:
                if self.stopping:
                    if entries:
                        self.commit(entries, done)
                    return Claims()
                speak = partial(
                    self.ask,
                    turn(
                        self._session,
                        self.holder,
                        self._build,
                        done,
                        entries,
                        self.sequence + 1,
                        most,
                        queues,
                        idle=self.is_idle,
                        dead_expires_s=self._dead_expires_s,
                        patience_s=PATIENCE_S,
                    ),
                )
                answer = speak() if entries else self._leisurely(speak)
                if answer is None:
                    self.is_idle = True  # perhaps: it shall sign off
                    continue
                verdicts, claimed = answer
            except NodeUnavailable as error:
                # both halves may be repeated as they are
                log.warning("%s; trying again", error)
                continue
            except NodeFault as error:
                if entries:
                    self.commit(entries, [])  # again, to tell which were refused: the claim's error hid that
                if text_of(error) != f"OLDSEQUENCE {self.sequence + 2:08x}":
                    raise
                # an answer was lost: of a claim that found nothing, or a wake-up with a message in it; and since
                # then a message was handed over
                self.sequence += 1
                self.is_idle = True
                self._compare_at_s = 0.0
                return Claims()
            self.sequence += 1
            self.is_idle = not claimed
            self._next_due_ms = claimed.next_due_ms
            if claimed or not self._found_s:
                self._found_s = asked_s
            self.pick.claimed(claimed, most, asked_s)
            self._judge(entries, verdicts)
            return claimed

    def sign_off(self) -> None:
        """Be handed no message with a wake-up until the next claim; what has been handed over goes back.

        A child that stops leaves that to its supervisor if the node does not answer.
        """
        while True:
            try:
                found = self._ask_for(
                    self._patience_in(()),
                    claim(
                        self._session,
                        self.holder,
                        self.sequence + 1,
                        0,
                        self.pick.queues,
                        idle=True,
                        patience_s=self._patience_in(()),
                    ),
                )
            except NodeUnavailable as error:
                if self.stopping:
                    log.debug("not signed off: %s", error)
                    return
                log.warning("%s; trying again", error)
                continue
            except NodeFault as error:
                if text_of(error) != f"OLDSEQUENCE {self.sequence + 2:08x}":
                    raise
                self.sequence += 1  # as in `turn`
                continue
            self.sequence += 1
            self.is_idle = False
            if found:
                self.give_back()
            return

    def commit(self, entries: list[bytes], done: list[Done]) -> None:
        """Commit outcomes, then let go of claims, repeating until it is done."""
        for at in range(0, max(1, len(entries)), 4 * COMMIT_MAX):
            part = entries[at : at + 4 * COMMIT_MAX]
            # a claim is let go of with the last part: until then something of it may be missing
            self._commit(part, done if at + 4 * COMMIT_MAX >= len(entries) else [])

    def _commit(self, entries: list[bytes], done: list[Done]) -> None:
        while True:
            try:
                verdicts = self._ask_for(
                    self._patience_in(entries),
                    commit(
                        self._session,
                        self.holder,
                        self._build,
                        done,
                        entries,
                        dead_expires_s=self._dead_expires_s,
                        patience_s=self._patience_in(entries),
                    ),
                )
            except NodeUnavailable as error:
                if self.stopping and not entries:
                    log.debug("finished claims are not let go of: %s", error)
                    return
                log.warning("%s; trying again", error)
                continue
            self._judge(entries, verdicts)
            return

    def _judge(self, entries: Sequence[bytes], verdicts: bytes) -> None:
        letters = b"".join(entries[2::4])
        if REFUSED not in verdicts:
            if letters:
                self._count(letters)
            return
        self._count(bytes(letters[at] for at, verdict in enumerate(verdicts) if verdict != REFUSED))
        for at, verdict in enumerate(verdicts):
            if verdict == REFUSED:
                log.warning(
                    "the outcome of task %s was refused: its lease had been lost, and it runs or ran elsewhere",
                    entries[4 * at].decode(),
                )

    def give_back(self, position: int = 0, *, sequence: int = 0) -> None:
        """Give back what waits behind a position of a claim, the last if none is named; 0 gives back all of it."""
        sequence = sequence or self.sequence
        while True:
            try:
                self.ask(recall(self._session, self.holder, sequence, position, patience_s=PATIENCE_S))
            except NodeUnavailable as error:
                # the claim may not be called done before, or nobody would hold what it still has
                log.warning("what was claimed and not begun cannot be given back yet: %s", error)
                continue
            return

    # -- idle ---------------------------------------------------------------------

    def sleep(self) -> list[Claimed]:
        """Wait until woken, a second at most, and return what came with the wake-up."""
        self.compare_now_and_then()
        block = _block(self.link.prefix, self._wake_key, self._patience_s())
        reply = self._leisurely(lambda: self.link.driver.run(block))
        if isinstance(reply, (Refused, NoAnswer, NodeError)):
            log.debug("cannot wait for a wake-up: %s", reply)
            time.sleep(0.05)
            return []
        handed = handed_off(reply[1]) if reply is not None else None
        if handed is None or handed[0] != self.sequence + 1:
            return []  # an older one, whose message came with a claim
        self.sequence += 1
        self._found_s = time.monotonic()
        return [handed[1]]

    def is_due_soon(self) -> bool:
        """Tell whether a delayed message is due so soon that the end of a burst waits for it.

        It may be of a queue of others; so nobody waits long for such.
        """
        if not self._next_due_ms or time.monotonic() - self._found_s > DUE_SOON_S:
            return False
        return self._next_due_ms - self.link.clock.now_ms() <= DUE_SOON_S * 1000

    def _patience_s(self) -> float:
        """Return how long to wait for a wake-up: nobody wakes a child for a message whose time has come."""
        # what operators set counts within a second, also for what is handed to an idle child
        look_s = max(LOOK_S_MIN, LOOK_S - self.operated.age_s(time.monotonic()))
        if not self._next_due_ms:
            return look_s
        return min(look_s, max(LOOK_S_MIN, (self._next_due_ms - self.link.clock.now_ms()) / 1000))

    # -- comparing ----------------------------------------------------------------

    def compare_now_and_then(self) -> None:
        """Compare, unless that was done a moment ago."""
        now_s = time.monotonic()
        if now_s >= self._compare_at_s:
            self._compare_at_s = now_s + COMPARE_S
            self.compare()

    def compare(self) -> None:
        """Give back what the node says this child holds, and which it does not know of."""
        # in this order: what ends in between is in the outbox before it is no more among these
        known = set(self._holds())
        self.outbox.flush()
        try:
            found = self._leisurely(partial(self.ask, held(self._session, self.holder))) or []
            sequences = {int(token[-8:], 16) for _, token in known}
            # what is on its way with a wake-up is not lost
            here = {row[0] for row in found if row[0] < ELSEWHERE}
            for sequence in here - sequences - {self.sequence + 1}:
                log.warning("claim %d was never heard of here; its messages are given back", sequence)
                self.ask(recall(self._session, self.holder, sequence, 0))
            for sequence, _, task_id, head in found:
                message = task_id.encode(), head[TOKEN]
                # what was claimed on another node may be given back one by one: its claim is not known by its sequence
                if (sequence in sequences or sequence >= ELSEWHERE) and message not in known:
                    log.warning("task %s of claim %d is not run here; it is given back", task_id, sequence)
                    self._commit([*message, RELEASED, b""], [])
        except NodeUnavailable as error:
            log.debug("%s", error)

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


def _block(prefix: bytes, key: bytes, seconds: float) -> Steps[Any]:
    (reply,) = yield [Call(None, prefix, (b"BLPOP", key, b"%g" % seconds), patience_s=seconds)]
    return reply
