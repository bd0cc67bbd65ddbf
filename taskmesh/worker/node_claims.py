"""What a child asks one of several nodes, once and for a moment; what a node does not answer is asked again later."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from typing import TypeAlias

from taskmesh.core.record import TOKEN
from taskmesh.core.steps import NoAnswer, NodeError, Refused, Reply, Session
from taskmesh.errors import NodeFault, NodeUnavailable
from taskmesh.nodes.link import Link
from taskmesh.queue.claim import Claims, claim, claimed_messages, held
from taskmesh.queue.commit import COMMIT_MAX, RELEASED, commit_call
from taskmesh.queue.turn import once, turn_at
from taskmesh.replication.ask import answer
from taskmesh.worker.node_talk import NodeTalk
from taskmesh.worker.outbox import Done
from taskmesh.worker.patience import run_patiently, text_of
from taskmesh.worker.rest import MOMENT_S

log = logging.getLogger("taskmesh.worker")

#: How often a child that signs off asks again, since it was handed a message in that very moment.
SIGN_OFF_MAX = 5
#: Replies to entries, to what is done and to the claim, and how long they took.
Replies: TypeAlias = tuple[Reply, Reply, Reply, float]


class NodeClaims:
    """Asks for one child."""

    def __init__(self, session: Session, holder: bytes, build: bytes, dead_expires_s: int) -> None:
        """Prepare.

        Args:
            session: Of the mesh.
            holder: The child.
            build: What its build can run.
            dead_expires_s: How long dead letters are kept.
        """
        self._session = session
        self._holder = holder
        self._build = build
        self._dead_expires_s = dead_expires_s

    def take_finished(self, talk: NodeTalk | None) -> tuple[list[bytes], list[Done]]:
        """Take outcomes out of a node's outbox, if it has few; whoever gets some says what became of them."""
        taken = talk.outbox.try_take() if talk is not None else None
        if talk is None or taken is None:
            return [], []
        entries, closed = taken
        if len(entries) > 4 * COMMIT_MAX:
            talk.outbox.put_back(entries, closed)
            talk.outbox.hurry()
            return [], []
        if not entries:
            talk.outbox.sent()
            talk.let_go(closed)
            return [], []
        return entries, closed

    def ask(
        self,
        link: Link,
        talk: NodeTalk,
        entries: Sequence[bytes],
        most: int,
        queues: Sequence[bytes],
        *,
        look: bool,
    ) -> Replies:
        """Commit, and claim at a node.

        Args:
            link: To the mesh.
            talk: The node.
            entries: Outcomes, claimed at any node.
            most: How many messages to claim.
            queues: From which, best first.
            look: The child is not to be registered as idle if there is nothing.
        """
        done, asked_s = talk.take_done(), time.monotonic()
        let_go: Reply = NoAnswer("nobody was asked")
        try:
            committed, let_go, claimed = link.run(
                turn_at(
                    self._session,
                    talk.node,
                    self._holder,
                    self._build,
                    done,
                    entries,
                    talk.sequence + 1,
                    most,
                    queues,
                    idle=talk.is_idle,
                    look=look,
                    dead_expires_s=self._dead_expires_s,
                ),
                within_s=MOMENT_S,
            )
        finally:
            if isinstance(let_go, (Refused, NoAnswer, NodeError)):
                talk.let_go(done)
        return committed, let_go, claimed, time.monotonic() - asked_s

    def heard(self, talk: NodeTalk, replies: Replies, *, is_all: bool, look: bool) -> Claims | None:
        """Take in what a node answered, and return what it gave; None if it cannot be used now.

        Args:
            talk: The node.
            replies: What `ask` returned.
            is_all: Whether it was asked for messages of all queues.
            look: As in `ask`.

        Raises:
            NodeFault: An error that does not pass.
        """
        now_s = time.monotonic()
        try:
            found = claimed_messages(answer(self._session, "claim", replies[2]))
        except NodeUnavailable as error:
            log.debug("node %s: %s", talk.node, error)
            talk.rest.missed(now_s)
            return None
        except NodeFault as error:
            return self._refused(talk, error, now_s)
        talk.rest.answered(replies[3], now_s)
        talk.sequence += 1
        talk.next_due_ms = found.next_due_ms
        if not found:
            talk.is_idle = talk.is_idle or not look
        elif is_all:
            talk.is_idle = False
        return found

    def _refused(self, talk: NodeTalk, error: NodeFault, now_s: float) -> Claims | None:
        text = text_of(error)
        if text == f"OLDSEQUENCE {talk.sequence + 2:08x}":
            # an answer was lost, and a message was handed over since: the next claim asks for that
            talk.sequence += 1
            talk.is_idle = True
            return Claims()
        if not text.startswith(("DEADWORKER", "STALEVIEW")):
            raise error
        # its supervisor registers again; what was claimed there may run elsewhere
        level = logging.DEBUG if text == "DEADWORKER unknown" else logging.WARNING
        log.log(level, "node %s gives this worker nothing for now: %s", talk.node, text)
        talk.is_idle = False
        talk.rest.missed(now_s)
        return None

    def commit_once(self, link: Link, entries: Sequence[bytes]) -> Reply:
        """Commit outcomes, and return what was answered."""
        call = commit_call(self._session, self._holder, self._build, (), entries, self._dead_expires_s)
        return link.run(once(call), within_s=MOMENT_S)

    def sign_off(self, talk: NodeTalk, queues: Sequence[bytes]) -> Claims:
        """Have a node hand nothing to this child any more; return what it had handed over."""
        for _ in range(SIGN_OFF_MAX):
            steps = claim(
                talk.link.session, self._holder, talk.sequence + 1, 0, queues, idle=True, patience_s=0.0
            )
            try:
                found = run_patiently(talk.link, steps, within_s=MOMENT_S)
            except NodeUnavailable as error:
                log.debug("node %s: %s", talk.node, error)
                talk.rest.missed(time.monotonic())
                break
            except NodeFault as error:
                if self._refused(talk, error, time.monotonic()) is None:
                    break
                continue
            talk.sequence += 1
            talk.is_idle = False
            return found
        return Claims()

    def release_unknown(self, talk: NodeTalk, known: Collection[tuple[bytes, bytes]]) -> None:
        """Give back what a node says this child holds, and which it does not know of.

        Args:
            talk: The node.
            known: Id and token of what it knows of.
        """
        try:
            found = run_patiently(
                talk.link, held(talk.link.session, self._holder, patience_s=0.0), within_s=MOMENT_S
            )
        except NodeUnavailable as error:
            log.debug("node %s: %s", talk.node, error)
            talk.rest.missed(time.monotonic())
            return
        closed: dict[Done, None] = {}
        for sequence, _, task_id, head in found:
            message = task_id.encode(), head[TOKEN]
            # what is on its way with a wake-up, or in an answer that was not heard, is asked for again
            if message in known or sequence == talk.sequence + 1:
                continue
            log.warning(
                "task %s was claimed at node %s and is not run here; it is given back", task_id, talk.node
            )
            talk.outbox.add(*message, RELEASED, b"", time.monotonic())
            if sequence <= talk.sequence and not any(token == message[1] for _, token in known):
                closed[sequence, message[1][8:20]] = None
        for sequence, epoch in closed:
            talk.outbox.close_claim(sequence, epoch)
