"""A process looks at the nodes of its mesh: who answers, what it says of itself, what other observers have noted."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from taskmesh.core import keys
from taskmesh.core.steps import Call, GroupSteps, NoAnswer, NodeError, Refused, Reply, Round, all_answered
from taskmesh.nodes.mesh_driver import MeshDriver
from taskmesh.replication.founding import Stand, read_stand
from taskmesh.replication.observing import JUDGED_S, OBSERVERS, Observer, confirmed, outdated, pack_note
from taskmesh.replication.scripts import STAND
from taskmesh.replication.view import DRAINED, UP

if TYPE_CHECKING:
    from taskmesh.nodes.link import Link
    from taskmesh.nodes.member import Place
    from taskmesh.nodes.several import Several
    from taskmesh.replication.view import Member, View

#: How long a node may take to answer, and to be connected to, before it is silent.
ANSWER_S, CONNECT_S = 1.0, 0.5
#: How often others hear of an observer that sees nobody silent: sooner than they go on without its word, see `WORD_S`.
PRESENT_S = 1.0


class NodeWatch:
    """Looks at the nodes of a mesh of several.

    Attributes:
        driver: Speaks with whichever server answers at a member's address, be it one that was started anew.
        admitted: Speaks with the servers that the view admitted, as all do who rely on what they have.
        seen: What each member that answered at the last look said of itself.
        away: Why each of the others did not.
        observers: How many processes have looked lately, this one among them.
        is_unsure: Whether a node did not answer that is not silent for long yet.
        is_undecided: Whether a node did not answer of which it will be known in some seconds whether it is gone.
    """

    def __init__(
        self, link: Link, several: Several, observer: Observer | None = None, *, decides: bool = False
    ) -> None:
        """Prepare; connects when it first looks.

        Args:
            link: To the mesh; it has been joined.
            several: Its nodes.
            observer: What this process has seen so far; None for nothing. All that look from one process are one.
            decides: It is to hear what others say of a node that is silent whenever it looks, as the leader does.
        """
        self._link = link
        self._several = several
        self._observer = observer or new_observer()
        self._decides = decides
        self._members: dict[str, Member] = {}
        self._noted_s = 0.0
        self._was_silent: frozenset[str] = frozenset()
        self._left: set[str] = set()
        self.seen: dict[str, Stand] = {}
        self.away: dict[str, str] = {}
        self.observers = 1
        self.is_unsure = self.is_undecided = False
        self.driver, self.admitted = (
            MeshDriver(
                place,
                connect_timeout_s=CONNECT_S,
                answer_timeout_s=ANSWER_S,
                name=f"taskmesh-{link.mesh}-watch",
            )
            for place in (self._place, self._admitted_place)
        )

    def _place(self, node: str) -> Place:
        member = self._members.get(node)
        return self._several.place(member.address if member is not None else node)[0], None

    def _admitted_place(self, node: str) -> Place:
        """Return where a node is, and the process which the view admitted; a learner is in none yet."""
        standing = self._several.standing
        member = standing.view.member(node) if standing is not None else None
        run_id = member.run_id.encode() if member is not None and member.state == UP else None
        return self._place(node)[0], run_id

    def expect(self, members: Sequence[Member]) -> None:
        """Have these members be found by their ids, though the view may not know them yet."""
        self._members |= {member.id: member for member in members}

    def look(self, view: View) -> frozenset[str]:
        """Look, and return the members that count as gone: silent for long, and not to this process alone."""
        self.expect(view.members)
        asked_s = time.monotonic()
        self._left &= {member.id for member in view.members if member.state == DRAINED}
        ids = [member.id for member in view.members if member.id not in self._left]
        replies = self.driver.run(_ask(self._link.prefix, ids))
        self.seen, self.away = {}, {}
        for node, reply in zip(ids, replies, strict=True):
            if not isinstance(reply, list):
                self.away[node] = _in_words(reply)
                self._note_left(view, node)
                continue
            stand = read_stand(reply)
            if not stand.id and self._note_left(view, node):
                self.away[node] = "the server there is no node of this mesh any more"
            elif stand.id in ("", node):
                self.seen[node] = stand
            else:
                # a server that has two names, or one that came to the address of a node that left
                self.away[node] = f"the server there is {stand.id}"
        now_s = time.monotonic()
        self._observer.looked(self.seen, asked_s, now_s)
        self._observer.reach.looked(view, self.seen, now_s)
        silent = self._observer.silent(view.nodes, now_s)
        self.is_unsure = any(node in self.away and node not in silent for node in view.nodes)
        if (
            (silent and self._decides)
            or silent != self._was_silent
            or now_s - self._noted_s >= PRESENT_S * max(1, self.observers / OBSERVERS)
        ):
            gone = self._compare(silent)
            self._noted_s = now_s
        else:
            gone = frozenset()
        self._was_silent = silent
        self.is_undecided = any(
            node in self.away and node not in gone and self.silent_s(node) < JUDGED_S for node in view.nodes
        )
        return gone

    def _note_left(self, view: View, node: str) -> bool:
        """Ask at an address no more where one was emptied on purpose and is gone: its next server is another's."""
        member = view.member(node)
        left = member is not None and member.state == DRAINED
        if left:
            self._left.add(node)
        return left

    def silent(self) -> frozenset[str]:
        """Return the members that did not answer, and have been silent for long to this process, learners too."""
        return self._observer.silent(self.away, time.monotonic())

    def silent_s(self, node: str) -> float:
        """Return for how long a node has been silent."""
        return self._observer.silent_s(node, time.monotonic())

    def _compare(self, silent: Collection[str]) -> frozenset[str]:
        """Tell other observers who is silent, hear what they say, and return who counts as gone."""
        prefix, now_ms = self._link.prefix, self._link.clock.now_ms()
        key = keys.observed(prefix)
        note = pack_note(now_ms, silent)
        heard = self.driver.run(_tell(prefix, list(self.seen), (key, self._observer.name.encode(), note)))
        notes: dict[str, bytes] = {}
        for reply in heard:
            if isinstance(reply, list):
                for who, told in zip(reply[::2], reply[1::2], strict=True):
                    name = who.decode()
                    notes[name] = max(notes.get(name, b""), told)
        self.observers = max(1, len(notes))
        old = outdated(notes, now_ms)
        if old:
            words = (b"HDEL", key, *(who.encode() for who in old))
            self.driver.run(_order(prefix, list(self.seen), words))
        return confirmed({node: self.silent_s(node) for node in silent}, notes, self._observer.name, now_ms)

    def close(self) -> None:
        """Close the connections."""
        self.driver.close()
        self.admitted.close()


def new_observer() -> Observer:
    """Return an observer that has seen nothing yet."""
    return Observer(time.monotonic(), os.urandom(8).hex())


def _in_words(reply: Reply) -> str:
    if isinstance(reply, (Refused, NoAnswer)):
        return reply.reason
    return reply.text if isinstance(reply, NodeError) else f"it says {reply!r}"


def _ask(prefix: bytes, nodes: Sequence[str]) -> GroupSteps[Sequence[Reply]]:
    return (yield Round([Call(STAND, prefix, (), node=node) for node in nodes], all_answered))


def _tell(prefix: bytes, nodes: Sequence[str], words: tuple[bytes, ...]) -> GroupSteps[Sequence[Reply]]:
    calls = [Call(None, prefix, (b"HSET", *words), node=node) for node in nodes]
    calls += [Call(None, prefix, (b"HGETALL", words[0]), node=node) for node in nodes]
    return (yield Round(calls, all_answered))


def _order(prefix: bytes, nodes: Sequence[str], words: tuple[bytes, ...]) -> GroupSteps[Sequence[Reply]]:
    return (yield Round([Call(None, prefix, words, node=node) for node in nodes], all_answered))
