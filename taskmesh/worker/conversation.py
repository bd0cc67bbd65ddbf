"""What a child says to the node: it claims, commits, sleeps until it is woken, and compares what it holds.

The same for a child that runs one message at a time and for one that runs many at once. One thread claims, sleeps
and compares; outcomes may be added to the outbox by any.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from taskmesh.core.record import TOKEN
from taskmesh.core.steps import Call, NoAnswer, NodeError, Refused, Steps
from taskmesh.errors import NodeFault, NodeUnavailable
from taskmesh.queue.claim import ELSEWHERE, Claimed, Claims, claim, handed_over, held, recall
from taskmesh.queue.commit import COMMIT_MAX, REFUSED, RELEASED, commit
from taskmesh.queue.setting import look_at_operated
from taskmesh.queue.turn import turn
from taskmesh.worker.host import App
from taskmesh.worker.options import ChildOrder
from taskmesh.worker.outbox import Done, Outbox
from taskmesh.worker.patience import text_of
from taskmesh.worker.speaking import PATIENCE_S, Held, Speaking, nothing

log = logging.getLogger("taskmesh.worker")


class Conversation(Speaking):
    """One child's conversation with the only node."""

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
        dead_expires_s = int(mesh.settings.dead_letter_expires)
        super().__init__(mesh.link.open(), order, build, dead_expires_s, holds, count)
        self.outbox: Outbox = Outbox(self.commit)
        self._next_due_ms = 0
        self._epoch = self._session.epoch

    @property
    def is_outgrown(self) -> bool:
        """Whether the node has become one of several: a child that claims from all of them takes this one's place."""
        return self.link.several is not None

    def next_due_ms(self) -> int:
        """Return when the next delayed message is due, on the node's clock; 0 if none is known."""
        return self._next_due_ms

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
            self.outbox.has_lost |= REFUSED in verdicts
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
            self.outbox.has_lost |= REFUSED in verdicts
            self._judge(entries, verdicts)
            return

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

    def not_begun(self, batch: Sequence[Claimed]) -> None:
        """Take in that these messages of the last claim went back before they began."""
        self.pick.given_back(batch)

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
        handed = handed_over(reply[1], self.sequence, self._session.epoch) if reply is not None else None
        if handed is None:
            return []
        self.sequence += 1
        self._found_s = time.monotonic()
        return [handed]

    # -- comparing ----------------------------------------------------------------

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


def _block(prefix: bytes, key: bytes, seconds: float) -> Steps[Any]:
    (reply,) = yield [Call(None, prefix, (b"BLPOP", key, b"%g" % seconds), patience_s=seconds)]
    return reply
