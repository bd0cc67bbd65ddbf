"""What a child says to a mesh of several nodes: it claims from one after the other, and waits for all at once.

Nothing here waits for one node longer than a moment: a node that does not answer is left alone for a while, and the
others go on giving. What a node has given without being heard is asked for again under the same sequence. Outcomes are
committed wherever their messages are by then, and where that is not possible a thread goes on trying.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby

from taskmesh.balancing.sources import Source
from taskmesh.core.claim_names import node_of, sequence_of
from taskmesh.errors import NodeUnavailable
from taskmesh.nodes.wake_line import wait
from taskmesh.queue.claim import Claimed, Claims, handed_over, recall
from taskmesh.queue.commit import COMMIT_MAX, REFUSED, RELEASED, commit
from taskmesh.queue.setting import look_at_operated
from taskmesh.worker.host import App
from taskmesh.worker.node_choice import Choice
from taskmesh.worker.node_claims import NodeClaims
from taskmesh.worker.node_talk import NodeTalk, Outboxes
from taskmesh.worker.options import ChildOrder
from taskmesh.worker.outbox import Done
from taskmesh.worker.patience import run_patiently
from taskmesh.worker.pools import PROCESS
from taskmesh.worker.rest import MOMENT_S
from taskmesh.worker.speaking import COMPARE_S, PATIENCE_S, Held, Speaking, nothing

log = logging.getLogger("taskmesh.worker")

#: A source that was found empty comes behind the others for so long: each look costs a round trip.
EMPTY_S = 0.05
#: A child that can ask no node looks again so soon.
NOBODY_S = 0.05
#: A node with so many outcomes that are not committed yet gives no more.
WAITING_MAX = 4 * COMMIT_MAX


class MeshConversation(Speaking):
    """One child's conversation with several nodes."""

    def __init__(
        self,
        mesh: App,
        order: ChildOrder,
        build: bytes,
        *,
        holds: Callable[[], Held] = nothing,
        count: Callable[[bytes], None] = lambda _letters: None,
    ) -> None:
        """Join the mesh. Arguments as `Conversation`."""
        dead_expires_s = int(mesh.settings.dead_letter_expires)
        super().__init__(mesh.link.open(), order, build, dead_expires_s, holds, count)
        self.outbox: Outboxes = Outboxes(self._commit_now)
        self._claims = NodeClaims(self.link.session, order.holder, build, dead_expires_s)
        self._choice = Choice(order.worker, order.nodes)
        self._runs_one = order.pool == PROCESS
        self._known: dict[str, NodeTalk] = {}
        self._talks: list[NodeTalk] = []
        self._last: NodeTalk | None = None
        self._is_one_left_out = False
        self._batch: Sequence[Claimed] = ()
        self._empty: dict[Source, float] = {}
        self._epoch = self._session.epoch
        self._take_up(time.monotonic())

    @property
    def source_count(self) -> int:
        """From how many sources it claims."""
        return self.pick.queue_count * len(self._talks)

    def next_due_ms(self) -> int:
        """Return when the next delayed message is due on any node, on the link's clock; 0 if none is known."""
        return min((talk.next_due_ms for talk in self._talks if talk.next_due_ms), default=0)

    def is_due_soon(self) -> bool:
        """Tell whether the end of a burst waits: for a message that is due soon, or for a node that was not asked.

        One that is slow is left alone for a while, and so is one that is away; either may have messages.
        """
        return super().is_due_soon() or self._is_one_left_out or any(talk.rest.misses for talk in self._talks)

    # -- nodes --------------------------------------------------------------------

    def _take_up(self, now_s: float) -> None:
        """Claim from the nodes that there are now."""
        nodes = self._choice.nodes(self.link.nodes, now_s)
        if nodes == tuple(talk.node for talk in self._talks):
            return
        for talk in self._talks:
            if talk.node not in nodes:
                if talk.is_idle and talk.node in self.link.nodes:
                    self._sign_off(talk)
                talk.is_idle = False
                talk.line.close()
        for node in nodes:
            if node not in self._known:
                self._known[node] = talk = NodeTalk(node, self.link, self.holder, self._commit_all)
                self.outbox.have(talk)
        self._talks = [self._known[node] for node in nodes]
        self.pick.move(nodes, now_s)
        # what a node that comes back says of this child may be old
        self._compare_at_s = 0.0

    def _usable(self, now_s: float) -> list[NodeTalk]:
        """Return the nodes that can be asked now."""
        found = []
        for talk in self._talks:
            if now_s < talk.rest.until_s or len(talk.outbox) >= WAITING_MAX:
                continue
            if talk.rest.misses and not talk.is_there():
                talk.rest.missed(time.monotonic())
                continue
            found.append(talk)
        if not found:
            # those that are only slow are better than nobody
            found = [talk for talk in self._talks if not talk.rest.misses and len(talk.outbox) < WAITING_MAX]
            found = [min(found, key=lambda talk: talk.rest.until_s)] if found else []
        return found

    # -- claims -------------------------------------------------------------------

    def turn(self, most: int) -> Claims:
        """Commit what is finished and claim so much more, unless the child stops."""
        now_s = time.monotonic()
        self._take_up(now_s)
        if self._session.epoch != self._epoch:
            self._epoch = self._session.epoch
            self.compare()
        found = Claims()
        if not self.stopping:
            usable = self._usable(now_s)
            self._is_one_left_out = len(usable) < len(self._talks)
            if usable:
                self._look(usable, now_s)
                found = self._claim_somewhere(usable, most, now_s)
            else:
                self._leisurely(lambda: time.sleep(NOBODY_S))
        self.is_idle = any(talk.is_idle for talk in self._talks)
        if self.stopping:
            # or a message could be handed over which nobody would run, and of which nobody knew that it has not begun
            self._sign_off_all()
            self.outbox.finish()
        return found

    def _look(self, usable: Sequence[NodeTalk], now_s: float) -> None:
        """Read what operators have set and, for strategies that ask for them, backlogs."""
        if self.operated.is_due(now_s):
            link = usable[0].link
            look = partial(link.run, look_at_operated(link.session), within_s=MOMENT_S)
            self.operated.take(self._leisurely(look), now_s)
        if self.pick.wants_backlogs(now_s):
            for talk in usable:
                self._leisurely(partial(self.pick.read_backlogs, talk.node, now_s, MOMENT_S))

    def _claim_somewhere(self, usable: Sequence[NodeTalk], most: int, asked_s: float) -> Claims:
        """Ask one node after the other, as the strategy says; register as idle where all have nothing."""
        order = self.pick.sources(asked_s, {talk.node for talk in usable})
        order.sort(key=lambda source: self._empty.get(source, 0.0) > asked_s - EMPTY_S)
        looked: list[Source] = []
        found = Claims()
        for node, run in groupby(order, key=lambda source: source.node):
            found = self._claim(self._known[node], list(run), most, looked, look=True)
            if found or self.stopping:
                break
        if not found:
            for talk in usable:
                if self.stopping or talk.is_idle or talk.rest.misses:
                    continue
                here = [source for source in order if source.node == talk.node]
                found = self._claim(talk, here, most, looked, look=False)
                if found:
                    break
        if found or not self._found_s:
            self._found_s = asked_s
        node = self._last.node if self._last is not None else ""
        self.pick.claimed_at(node, found, most, asked_s, set(looked))
        if found and self._runs_one:
            self._sign_off_all(but=self._last)
        return found

    def _claim(
        self, talk: NodeTalk, sources: Sequence[Source], most: int, looked: list[Source], *, look: bool
    ) -> Claims:
        """Ask one node, and note into which sources that looked; commit what was finished on the way."""
        queues = [source.queue.encode() for source in sources]
        last = self._last
        entries, closed = self._claims.take_finished(last)
        speak = partial(self._claims.ask, self.link, talk, entries, most, queues, look=look)
        replies = None
        try:
            replies = speak() if entries else self._leisurely(speak)
        finally:
            if last is not None and entries:
                self._committed(last, entries, closed, replies)
        if replies is None:
            return Claims()
        asked_s = time.monotonic()
        found = self._claims.heard(talk, replies, is_all=len(queues) == self.pick.queue_count, look=look)
        if self._files is not None:
            (self._files.missed if found is None else self._files.reached)()
        if found is None:
            self._compare_at_s = 0.0
            return Claims()
        looked += sources
        if found:
            self._begin(talk, found)
        else:
            self._empty.update(dict.fromkeys(sources, asked_s))
        return found

    def _begin(self, talk: NodeTalk, batch: Sequence[Claimed]) -> None:
        """Take in what was claimed or handed over."""
        self._last = talk
        self._batch = batch
        self.sequence = talk.name
        self.outbox.claimed(talk, batch)

    def not_begun(self, batch: Sequence[Claimed]) -> None:
        """Take in that these messages of the last claim went back before they began."""
        if self._last is not None:
            self.pick.given_back_at(self._last.node, batch)
        self.outbox.given_back(batch)

    def give_back(self, position: int = 0, *, sequence: int = 0) -> None:
        """Give back what waits behind a position of the last claim; 0 gives back all of it."""
        name = sequence or self.sequence
        talk = self._known[node_of(name)]
        self._give_back(talk, sequence_of(name), position, self._batch[position:])

    def _give_back(self, talk: NodeTalk, sequence: int, position: int, batch: Sequence[Claimed]) -> None:
        steps = recall(talk.link.session, self.holder, sequence, position, patience_s=0.0)
        count = 0
        try:
            count = run_patiently(talk.link, steps, within_s=MOMENT_S)
        except NodeUnavailable as error:
            log.debug("node %s takes nothing back now: %s", talk.node, error)
        if count < len(batch):
            # they may be elsewhere by now; what was taken back before is not, a second time
            entries = [word for one in batch for word in (one.task_id, one.token, RELEASED, b"")]
            talk.outbox.add_entries(entries, time.monotonic())
        self.outbox.given_back(batch)

    # -- commits ------------------------------------------------------------------

    def _committed(
        self, talk: NodeTalk, entries: list[bytes], closed: list[Done], replies: Sequence[object] | None
    ) -> None:
        """Take in the answer to outcomes that travelled with a claim."""
        verdicts = replies[0] if replies is not None else None
        if not isinstance(verdicts, bytes):
            talk.outbox.put_back(entries, closed)
            return
        talk.outbox.has_lost |= REFUSED in verdicts
        talk.outbox.sent()
        talk.let_go(closed)
        self._judge(entries, verdicts)

    def _commit_now(self, talk: NodeTalk) -> None:
        """Commit what is in the outbox of a node, if that takes no longer than a moment."""
        if talk.rest.misses:
            talk.outbox.hurry()
            return
        entries, closed = self._claims.take_finished(talk)
        if entries:
            reply = self._claims.commit_once(self.link, entries)
            self._committed(talk, entries, closed, (reply,))

    def _commit_all(self, talk: NodeTalk, entries: list[bytes], closed: list[Done]) -> None:
        """Commit what is in the outbox of a node, repeating until it is done; called by the outbox's thread."""
        for at in range(0, len(entries), 4 * COMMIT_MAX):
            part = entries[at : at + 4 * COMMIT_MAX]
            while True:
                steps = commit(
                    self._session,
                    self.holder,
                    self._build,
                    (),
                    part,
                    dead_expires_s=self._dead_expires_s,
                    patience_s=PATIENCE_S,
                )
                try:
                    verdicts = run_patiently(self.link, steps)
                except NodeUnavailable as error:
                    log.warning("%s; trying again", error)
                    continue
                talk.outbox.has_lost |= REFUSED in verdicts
                self._judge(part, verdicts)
                break
        talk.let_go(closed)

    # -- idle ---------------------------------------------------------------------

    def sleep(self) -> list[Claimed]:
        """Wait until a node wakes this child, a second at most, and return what came with the wake-up."""
        self.compare_now_and_then()
        for talk, wake_up in self._leisurely(partial(self._wait, self._patience_s())) or ():
            handed = handed_over(wake_up, talk.sequence, self._session.epoch)
            if handed is None:
                continue
            talk.sequence += 1
            self._found_s = time.monotonic()
            batch = [handed]
            self._begin(talk, batch)
            if self._runs_one:
                talk.is_idle = False
                self._sign_off_all(but=talk)
            return batch
        return []

    def _wait(self, patience_s: float) -> list[tuple[NodeTalk, bytes]]:
        lines: dict[int, NodeTalk] = {}
        for talk in self._talks:
            if talk.is_idle:
                try:
                    lines[talk.line.ask()] = talk
                except NodeUnavailable as error:
                    log.debug("node %s: %s", talk.node, error)
                    talk.rest.missed(time.monotonic())
                    talk.is_idle = False
        woken = []
        for descriptor in wait(list(lines), patience_s if lines else min(patience_s, NOBODY_S)):
            talk = lines[descriptor]
            try:
                wake_up = talk.line.hear()
            except NodeUnavailable as error:
                log.debug("node %s: %s", talk.node, error)
                talk.rest.missed(time.monotonic())
            else:
                if wake_up is not None:
                    woken.append((talk, wake_up))
        return woken

    def sign_off(self) -> None:
        """Be handed no message with a wake-up until the next claim; what has been handed over goes back."""
        self._sign_off_all()

    def _sign_off_all(self, but: NodeTalk | None = None) -> None:
        for talk in self._talks:
            if talk.is_idle and talk is not but:
                self._sign_off(talk)
        self.is_idle = any(talk.is_idle for talk in self._talks)

    def _sign_off(self, talk: NodeTalk) -> None:
        found = self._claims.sign_off(talk, self.pick.queues)
        if found:
            self._give_back(talk, talk.sequence, 0, found)

    # -- comparing ----------------------------------------------------------------

    def compare(self) -> None:
        """Give back what the nodes say this child holds, and which it does not know of."""
        self._compare_at_s = time.monotonic() + COMPARE_S
        # in this order: what ends in between is in an outbox before it is no more among those that run
        known = set(self._holds())
        known |= self.outbox.messages()
        for talk in self._usable(time.monotonic()):
            self._leisurely(partial(self._claims.release_unknown, talk, known))
