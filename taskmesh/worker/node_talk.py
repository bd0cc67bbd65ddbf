"""What a child knows of one of the nodes that it claims from, and the outcomes of what it claimed there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from taskmesh.core import keys
from taskmesh.core.claim_names import claim_name, node_of, sequence_of
from taskmesh.nodes.link import Link
from taskmesh.nodes.wake_line import WakeLine
from taskmesh.queue.claim import Claimed
from taskmesh.queue.commit import NO_EPOCH
from taskmesh.worker.outbox import Done, Outbox
from taskmesh.worker.rest import Rest, is_there

Commit = Callable[["NodeTalk", list[bytes], list[Done]], None]


class NodeTalk:
    """One node, as a child sees it.

    Attributes:
        node: Its name.
        link: To it.
        sequence: Of the child's last answered claim there.
        is_idle: Whether the child is registered there as idle.
        next_due_ms: When its next delayed message is due; 0 if none is known.
        rest: When it is asked again.
        line: Where the child waits for it.
        outbox: Outcomes of what was claimed there.
    """

    def __init__(self, node: str, link: Link, holder: bytes, commit: Commit) -> None:
        """Prepare.

        Args:
            node: Its name.
            link: To the mesh.
            holder: The child.
            commit: Commits what is in the outbox, repeating until it is done.
        """
        self.node = node
        self.link = link.at(node)
        self.sequence = 0
        self.is_idle = False
        self.next_due_ms = 0
        self.rest = Rest()
        self.line = WakeLine(self.link, keys.wake(link.prefix, holder))
        self.outbox = Outbox(lambda entries, done: commit(self, entries, done))
        self._done: list[Done] = []
        self._lock = threading.Lock()

    @property
    def name(self) -> int:
        """Of the last answered claim there."""
        return claim_name(self.node, self.sequence)

    def is_there(self) -> bool:
        """Tell whether a node that was away answers again; it gets but a blink for that."""
        return is_there(self.link)

    def let_go(self, done: Sequence[Done]) -> None:
        """Have the node told, with the next claim, of claims of which everything is committed; any thread may."""
        with self._lock:
            self._done += [(sequence, NO_EPOCH) for sequence, _ in done] if self.outbox.has_lost else done

    def take_done(self) -> list[Done]:
        """Return what the node is to be told, and forget it."""
        with self._lock:
            done, self._done = self._done, []
            return done


class Outboxes:
    """The outboxes of all nodes, as a child sees them: what it adds goes to that of the node where it was claimed.

    So outcomes that cannot be committed, since their node is away, hold back no others.
    """

    def __init__(self, flush: Callable[[NodeTalk], None]) -> None:
        """Prepare.

        Args:
            flush: Commits what is in the outbox of a node, if that takes no longer than a moment.
        """
        self._flush = flush
        self._talks: dict[str, NodeTalk] = {}
        self._claimed: dict[tuple[bytes, bytes], NodeTalk] = {}
        self._last: NodeTalk | None = None
        self._is_open = False

    def have(self, talk: NodeTalk) -> None:
        """Have one more."""
        self._talks[talk.node] = talk
        if self._is_open:
            talk.outbox.open()

    def claimed(self, talk: NodeTalk, batch: Sequence[Claimed]) -> None:
        """Take in what was claimed at a node."""
        self._last = talk
        for claimed in batch:
            self._claimed[claimed.task_id, claimed.token] = talk

    def given_back(self, batch: Sequence[Claimed]) -> None:
        """Take in that this gets no outcome here."""
        for claimed in batch:
            self._claimed.pop((claimed.task_id, claimed.token), None)

    def messages(self) -> set[tuple[bytes, bytes]]:
        """Return id and token of each whose outcome is not known to be committed."""
        return {message for talk in self._talks.values() for message in talk.outbox.messages()}

    # -- as an outbox ---------------------------------------------------------------

    def __len__(self) -> int:
        """How many outcomes wait of the last claim."""
        return len(self._last.outbox) if self._last is not None else 0

    def add(self, task_id: bytes, token: bytes, letter: bytes, outcome: bytes, now_s: float) -> None:
        """Add an outcome; any thread may."""
        self._claimed.pop((task_id, token)).outbox.add(task_id, token, letter, outcome, now_s)

    def close_claim(self, name: int, epoch: bytes) -> None:
        """Add that nothing of a claim is left to run; the outcomes of all of it were added before."""
        self._talks[node_of(name)].outbox.close_claim(sequence_of(name), epoch)

    def open(self) -> None:
        """Start the threads now, where there may be none to be had later."""
        self._is_open = True
        for talk in self._talks.values():
            talk.outbox.open()

    def is_late(self, now_s: float) -> bool:
        """Tell whether an outcome of the last claim, or its end, has waited long enough."""
        return self._last is not None and self._last.outbox.is_late(now_s)

    def hurry(self) -> None:
        """Have the threads commit now: no other outcome is to be expected soon."""
        for talk in list(self._talks.values()):
            talk.outbox.hurry()

    def flush(self) -> None:
        """Commit outcomes of the last claim, unless its node is away: then its thread does, when it can."""
        if self._last is not None:
            self._flush(self._last)

    def finish(self) -> None:
        """Commit everything, since no more comes; last what is to go to nodes that are away."""
        self.hurry()
        for talk in sorted(self._talks.values(), key=lambda talk: talk.rest.misses):
            talk.outbox.finish()

    def close(self) -> None:
        """Stop the threads."""
        for talk in self._talks.values():
            talk.outbox.close()
