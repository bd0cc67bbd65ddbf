"""The leader looks after the nodes of a mesh: who is gone is left out, who comes back is copied to and taken in.

In a thread, and on connections, of its own. A leader of before that goes on does no harm: each step carries its token,
and the view is changed in a register.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from taskmesh.consensus.registers import Registers
from taskmesh.coordination.node_wish import REGISTER, unpack_wishes, wished
from taskmesh.core.event import VIEW, Event
from taskmesh.core.steps import GroupSteps, NoAnswer, Pause, Reply, Round
from taskmesh.errors import LeadershipLost, NodeUnavailable
from taskmesh.nodes.event_sender import EventSender
from taskmesh.nodes.node_watch import NodeWatch
from taskmesh.replication.furnish import furnish, source_of
from taskmesh.replication.history import Change, note_change
from taskmesh.replication.level import Learner, level
from taskmesh.replication.mandate import Mandate
from taskmesh.replication.observing import LOOK_S, Observer
from taskmesh.replication.overtaken import overtaken
from taskmesh.replication.plan import Goal, plan
from taskmesh.replication.take_over import as_begun, carry_on, take_over, teach, tell
from taskmesh.replication.view import LEARNER, Member, View
from taskmesh.replication.view_register import Kept, ViewRegister, ViewSteps, hold
from taskmesh.scheduler.leveling import SLOTS_AT_ONCE, Leveling
from taskmesh.scheduler.register_care import RegisterCare
from taskmesh.scheduler.steadiness import Steadiness

if TYPE_CHECKING:
    from taskmesh.nodes.agreement import Agreement
    from taskmesh.nodes.link import Link
    from taskmesh.nodes.several import Several

log = logging.getLogger("taskmesh.scheduler")
#: How long it waits between two portions of what is copied to a node that is to take part.
LEARN_S = 0.05
#: How often it is looked what operators want.
WISHES_S = 2.0
#: After how long a change of the view is thought over that waits for nodes which do not answer.
GIVE_UP_S = 10.0


class _Overtaken(Exception):
    """What was waited for will not come; or not soon, and nothing is lost if it is done later."""


@dataclass(slots=True)
class _Learning:
    """Nodes that are being copied to, for a view to come."""

    goal: Goal
    number: int
    left: dict[str, list[int]]


class NodeCare:
    """Looks after the nodes, a turn at a time."""

    def __init__(
        self,
        link: Link,
        several: Several,
        agreement: Agreement,
        token: int,
        leads: Callable[[], bool],
        observer: Observer | None = None,
    ) -> None:
        """Prepare.

        Args:
            link: To the mesh; it has been joined.
            several: Its nodes.
            agreement: To the registers, for this alone.
            token: The leader's.
            leads: Whether the lead lasts.
            observer: What this process has seen of the nodes before it led; None for nothing.
        """
        self._link = link
        self._events = EventSender(link)
        self._several = several
        self._agreement = agreement
        self._leads = leads
        self.watch = NodeWatch(link, several, observer, decides=True)
        registers: Registers = agreement.registers
        self._mandate = Mandate(
            link.prefix, link.clock.now_ms, token, ViewRegister(registers, os.urandom), self._note
        )
        self._register_care = RegisterCare(agreement)
        self._kept: Kept | None = None
        self._aim: tuple[View, Goal] | None = None
        self._looked_at_s = 0.0
        self._learning: _Learning | None = None
        self._instances: dict[str, str] = {}
        self._steadiness = Steadiness()
        self._awaited: frozenset[str] = frozenset()
        self.leveling = Leveling(self.watch, self._standing, link.clock.now_ms)
        self._wishes_at_s = 0.0

    def turn(self) -> float:
        """Look at the nodes and do what is to be done first; return for how long to wait then.

        Raises:
            LeadershipLost: Another leader is at it.
            TaskMeshError: Something cannot be done now.
        """
        try:
            return self._next_step()
        except _Overtaken as why:
            log.warning("nodes: %s", why)
            # soon again only if something has changed
            self._wishes_at_s = time.monotonic() + GIVE_UP_S
            return LOOK_S
        except LeadershipLost:
            # a node is in a view of which nothing is known here: the register tells which counts
            self._kept = None
            raise

    def _next_step(self) -> float:
        view = self._view()
        gone = self._look(view)
        self._note_answers(view)
        self._tell_awaited(view)
        goal = plan(view, self._steady(view), gone, self._instance)
        if goal is not None and goal.is_urgent:
            self._change(goal, silent_s=max((self.watch.silent_s(node) for node in gone), default=0.0))
            return 0.0
        if self.watch.is_undecided:
            # a change would wait for it, and who copies for long may not see how long it was silent
            return LOOK_S
        self._tell_again(view)
        asked = self._asked_for(view)
        if asked is not None:
            self._change(asked)
            return 0.0
        if goal is None:
            self._learning = None
            self.leveling.look(view)
            return LOOK_S
        if not self._has_learned(view, goal):
            return LEARN_S
        self._change(goal)
        return 0.0

    # -- the view -----------------------------------------------------------------

    def _view(self) -> View:
        """Return the view that counts; brings to an end what a leader of before has begun, or this one has left."""
        kept = self._kept
        if kept is None:
            known = self._standing().view
            kept = self._kept = self._hold(carry_on(self._mandate, known, self._as_nodes_are), GIVE_UP_S)
            self._follow(kept)
            if kept.view is not None and kept.view.number > known.number:
                self._wishes_at_s = 0.0
        if kept.view is None:
            raise LeadershipLost("the mesh has no view")
        return kept.view

    def _as_nodes_are(self, moving: View) -> Goal:
        """Return what a view that was begun is to become: who was to take part may be gone by now."""
        before = moving.before
        if before is None:
            return as_begun(moving)
        gone = self._look(before)
        goal = plan(before, self.watch.seen, gone, self._instance)
        if goal is None or not goal.is_urgent:
            goal = Goal(
                before.members, before.table, "a change that was begun is brought to an end", is_urgent=True
            )
        self._aim_at(before, goal)
        return goal

    def _look(self, view: View) -> frozenset[str]:
        gone = self.watch.look(view)
        self._looked_at_s = time.monotonic()
        return gone

    def _aim_at(self, view: View, goal: Goal) -> None:
        """Have it be looked whether a change is still worth it, whenever it waits."""
        self.watch.expect(goal.members)
        self._aim = view, goal

    def _look_meanwhile(self) -> None:
        """Look at the nodes while a change waits for some: whoever does not look cannot tell who is gone.

        Raises:
            _Overtaken: It is to be thought over.
        """
        if self._aim is None or time.monotonic() - self._looked_at_s < LOOK_S:
            return
        view, goal = self._aim
        gone = self._look(view)
        self.watch.expect(goal.members)
        why = overtaken(goal, plan(view, self.watch.seen, gone, self._instance), self.watch.silent())
        if why:
            raise _Overtaken(why)

    def _tell_again(self, view: View) -> None:
        """Have nodes obey the view that did not hear of it."""
        seen = self.watch.seen
        deaf = [node for node in view.nodes if node in seen and seen[node].epoch != view.epoch]
        if deaf:
            log.info("nodes: %s did not hear of view %d yet", ", ".join(deaf), view.number)
            self._hold(tell(self._mandate, view))

    def _asked_for(self, view: View) -> Goal | None:
        """Return what operators want of the nodes; None if that is so, or was looked at a moment ago."""
        now_s = time.monotonic()
        if now_s < self._wishes_at_s:
            return None
        self._wishes_at_s = now_s + WISHES_S
        found = self._agreement.run(self._agreement.registers.read(REGISTER))
        wishes = unpack_wishes(found.content)
        # before nodes leave that hold them
        self._register_care.look(view, wishes)
        return wished(view, wishes, lambda: os.urandom(8).hex())

    def _follow(self, kept: Kept) -> None:
        if kept.view is not None and self._several.standing is not None:
            self._several.standing.take(kept.view)
            self.watch.expect(kept.view.members)

    def _change(self, goal: Goal, silent_s: float = 0.0) -> None:
        """Go to another view."""
        kept = self._kept
        if kept is None or kept.view is None:
            return
        view = kept.view
        self._learning = None
        self._aim_at(view, goal)
        log.warning("nodes: %s; view %d is followed by another", goal.why, view.number)
        begun_s = time.monotonic()
        # whatever stops this: the register says what came of it
        self._kept = None
        done = self._hold(take_over(self._mandate, kept, goal), GIVE_UP_S)
        self._kept = done.kept
        self._follow(done.kept)
        took_s = time.monotonic() - begun_s
        number = done.kept.view.number if done.kept.view is not None else 0
        log.warning("nodes: view %d is active after %.2f s (%s)", number, took_s, goal.why)
        now_ms = self._link.clock.now_ms()
        self._events.tell(
            Event(VIEW, now_ms, detail=f"view {number} is active after {took_s:.2f} s: {goal.why}")
        )
        noticed_ms = now_ms - int((took_s + silent_s) * 1000)
        self._link.run(
            note_change(self._link.session, Change(number, noticed_ms, now_ms, goal.is_urgent, goal.why))
        )
        self.leveling.soon()
        self._wishes_at_s = 0.0

    def _note(self, what: str) -> None:
        log.info("nodes: %s", what)

    # -- those who come back --------------------------------------------------------

    def _instance(self, node: str) -> str:
        return self._instances.setdefault(node, os.urandom(8).hex())

    def _note_answers(self, view: View) -> None:
        self._steadiness.note([member.id for member in view.members], self.watch.seen, time.monotonic())

    def _tell_awaited(self, view: View) -> None:
        """Say which nodes are to join and do not answer, once each time: nobody else would."""
        away = self.watch.away
        awaited = [member for member in view.members if member.state == LEARNER and member.id in away]
        for member in awaited:
            if member.id not in self._awaited:
                log.warning(
                    "nodes: %s (%s) is to be copied to, and does not answer: %s",
                    member.id,
                    member.address,
                    away[member.id],
                )
        self._awaited = frozenset(member.id for member in awaited)

    def _steady(self, view: View) -> dict[str, Any]:
        """Return what members say, of those that are not up only if they have answered for some time."""
        now_s = time.monotonic()
        up = set(view.nodes)
        return {
            node: stand
            for node, stand in self.watch.seen.items()
            if node in up or self._steadiness.holds(node, now_s)
        }

    def _has_learned(self, view: View, goal: Goal) -> bool:
        """Copy some more to those who are to have slots that they do not have; tell whether that was all."""
        learning = self._learning
        if learning is None or learning.number != view.number or learning.goal != goal:
            learning = self._learning = self._begin_learning(view, goal)
        for node, slots in learning.left.items():
            if not slots:
                continue
            member = next(member for member in goal.members if member.id == node)
            learner = self._admitted_learner(view, member)
            if learner is None:
                return False
            some = slots[:SLOTS_AT_ONCE]
            found = self.watch.admitted.run(level(self._standing(), some, learner=learner))
            learning.left[node] = [slot for slot in slots if slot not in set(found.compared)]
            return False
        return True

    def _begin_learning(self, view: View, goal: Goal) -> _Learning:
        left: dict[str, list[int]] = {}
        for slot, (old, new) in enumerate(zip(view.table, goal.table, strict=True)):
            for node in new:
                if node not in old:
                    left.setdefault(node, []).append(slot)
        slots = sum(map(len, left.values()))
        if slots:
            log.info("nodes: %s; %d copies of slots are being made", goal.why, slots)
        self.watch.expect(goal.members)
        return _Learning(goal, view.number, left)

    def _admitted_learner(self, view: View, member: Member) -> Learner | None:
        """Return a node that can be copied to; None if it does not answer."""
        stand = self.watch.seen.get(member.id)
        if stand is None:
            return None
        known = view.member(member.id)
        if known is not None and known.state == "up":
            return Learner(member.id, stand.epoch)
        if stand.epoch != view.epoch:
            source = source_of(view, self.watch.seen)
            if source is None:
                return None
            self._run(furnish(self._link.prefix, source, member.id))
            if not self._hold(teach(self._mandate, view, member)):
                log.info("nodes: %s cannot be copied to yet", member.id)
                return None
        return Learner(member.id, view.epoch)

    # -- speaking -------------------------------------------------------------------

    def _standing(self) -> Any:
        return self._several.standing

    def _run(self, steps: Any) -> Any:
        return self.watch.driver.run(steps)

    def _hold(self, steps: ViewSteps[Any], within_s: float = inf) -> Any:
        """Hold a conversation with nodes and acceptors.

        Args:
            steps: The conversation.
            within_s: For how long some that are asked may be silent. What is much takes its time.

        Raises:
            NodeUnavailable: They were for longer: who it waits for may never come back, so it is thought over.
            _Overtaken: It is known sooner.
        """
        answered_s = time.monotonic()

        def with_nodes(request: Round | Pause) -> Sequence[Reply]:
            nonlocal answered_s
            if not self._leads():
                raise LeadershipLost("the lead is over")
            if isinstance(request, Pause):
                time.sleep(request.seconds)
                self._look_meanwhile()
                return []
            replies = self.watch.driver.perform(request)
            now_s = time.monotonic()
            if not any(type(reply) is NoAnswer for reply in replies):
                answered_s = now_s
            elif now_s - answered_s > within_s:
                raise NodeUnavailable(
                    f"the nodes that are needed did not answer within {within_s:g} s",
                    node=self._link.mesh,
                    may_be_done=True,
                )
            return replies

        def with_acceptors(steps: GroupSteps[Any]) -> Any:
            return self._agreement.run(steps)

        try:
            return hold(steps, with_nodes, with_acceptors)
        finally:
            self._aim = None

    def close(self) -> None:
        """Close the connections."""
        self.watch.close()
