"""Those who lead, or believe so: they look after nodes, change the view, and make copies level.

What they do is what `scheduler/node_care.py` does, a turn at a time. Who leads is not decided here: whoever wants to
takes the next token, and those with older ones go on believing. Whom a leader does not hear may be gone for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from taskmesh.coordination.node_wish import wished
from taskmesh.core.steps import OUT, Call, Pause, Round
from taskmesh.errors import AgreementError, LeadershipLost, NodeUnavailable
from taskmesh.replication.founding import Stand, read_stand
from taskmesh.replication.furnish import furnish, source_of
from taskmesh.replication.level import Learner, level, mark_level
from taskmesh.replication.mandate import Mandate
from taskmesh.replication.plan import Goal, plan
from taskmesh.replication.scripts import STAND
from taskmesh.replication.take_over import newest, take_over, teach, tell
from taskmesh.replication.view import ACTIVE, UP, Member, View
from taskmesh.replication.view_register import Agreed, Kept, ViewRegister
from tests.simulation.mesh.ledger import PREFIX
from tests.simulation.mesh.network import failed
from tests.simulation.mesh.party import Party, Steps

if TYPE_CHECKING:
    from tests.simulation.mesh.world import World

LOOK_S_MAX = 0.5
#: How seldom it looks when the trouble is over.
CALM_S_MAX = 1.5
#: How often it looks what operators want.
WISHES_S = 0.5
#: What takes longer is begun anew.
ABANDON_S = 3.0


class Leader(Party):
    """One leader.

    Attributes:
        restless: Whether it is to change the view though nothing asks for that.
        overtaken: Whether it has met a newer leader.
        notes: What it has told.
    """

    def __init__(self, world: World, number: int) -> None:
        super().__init__(world, f"leader{number}")
        self.restless = self.overtaken = False
        self.notes: list[str] = []
        self._register = ViewRegister(world.registers, world.random.randbytes)
        self._instances: dict[str, str] = {}
        self._kept: Kept | None = None
        self._mandate = self._begun()
        self._copies = False
        self._wishes_at_s = 0.0

    def begin(self) -> None:
        """Begin to lead."""
        self.process.start(f"{self.name} leads", self._lead(), self._where)
        if self.world.firings.moments_s:
            self.do("fires", self.world.firings.fire(self))

    def _lead_anew(self) -> None:
        """Be elected once more, after a newer leader was met: with another token, and knowing of no view."""
        self.overtaken = False
        self._mandate, self._kept = self._begun(), None

    @property
    def token(self) -> int:
        """Its token, until it meets a newer leader."""
        return self._mandate.token

    def _where(self, node: str) -> tuple[str | None, str | None]:
        """A leader speaks with every life of a server, which tells what it is; it copies among those admitted only."""
        member = self.speaking.standing.view.member(node) if self._copies else None
        run_id = member.run_id if member is not None and member.state == UP else None
        return self.world.address_of(node), run_id

    def _copying(self, steps: Steps) -> Steps:
        self._copies = True
        try:
            return (yield from steps)
        finally:
            self._copies = False

    def _begun(self) -> Mandate:
        token = self.world.next_token()
        return Mandate(PREFIX, self.now_ms, token, self._register, self.notes.append)

    def _lead(self) -> Steps:
        world = self.world
        while True:
            yield Pause(world.random.random() * (LOOK_S_MAX if not world.healed else CALM_S_MAX))
            end_s = world.network.now_s + ABANDON_S
            if self.overtaken:
                self._lead_anew()
            is_late: Callable[[], bool] = lambda end_s=end_s: world.network.now_s > end_s  # noqa: E731 - of this turn
            try:
                if not (yield from _agreeing(self._turn(), is_late)):
                    self._kept = None
            except LeadershipLost:
                self.overtaken = True
            except (AgreementError, NodeUnavailable):
                self._kept = None

    # -- the view -----------------------------------------------------------------------

    def _turn(self) -> Steps:
        """Look at the nodes, and do what is to be done first."""
        standing = self.speaking.standing
        if self._kept is None:
            self._kept = yield from self._read()
        view = self._kept.view
        assert view is not None
        standing.take(view)
        seen, silent = yield from self._look(view)
        goal = plan(view, seen, silent, self._instance)
        if goal is not None and goal.is_urgent:
            yield from self._change(goal)
            return
        if any(node in seen and seen[node].epoch != view.epoch for node in view.nodes):
            yield from tell(self._mandate, view)
        asked = self._asked_for(view)
        if asked is not None:
            yield from self._change(asked)
        elif goal is not None:
            if (yield from self._has_learned(view, goal, seen)):
                yield from self._change(goal)
        elif self.restless:
            self.restless = False
            yield from self._change(self._other(view))
        elif self.world.over or self.world.random.random() < 0.3:
            yield from self._level()

    def _read(self) -> Steps:
        """Return what the register holds; brings to an end what a leader of before has begun, or this one has left."""
        kept: Kept = newest((yield Agreed(self._register.read())), self.speaking.standing.view)
        view = kept.view
        assert view is not None
        if view.phase == ACTIVE:
            yield from tell(self._mandate, view)
            return kept
        before = view.before
        assert before is not None
        seen, silent = yield from self._look(before)
        goal = plan(before, seen, silent, self._instance)
        if goal is None or not goal.is_urgent:
            goal = Goal(before.members, before.table, "it is brought to an end", is_urgent=True)
        done = yield from take_over(self._mandate, kept, goal)
        return done.kept

    def _instance(self, node: str) -> str:
        return self._instances.setdefault(node, self.world.new_instance())

    def _change(self, goal: Goal) -> Steps:
        kept, self._kept = self._kept, None
        assert kept is not None
        done = yield from take_over(self._mandate, kept, goal)
        self._kept = done.kept
        self.speaking.standing.take(done.kept.view)
        self._wishes_at_s = 0.0

    def _asked_for(self, view: View) -> Goal | None:
        """Return what operators want of the nodes; None if that is so, or was looked at a moment ago.

        One that has not heard of a view which another leader wrote, and told nobody, learns of it by that: it is
        wanted still, as far as it knows, and cannot be written.
        """
        now_s = self.world.network.now_s
        if not self.world.wishes.nodes or now_s < self._wishes_at_s:
            return None
        self._wishes_at_s = now_s + WISHES_S
        return wished(view, self.world.wishes, self.world.new_instance)

    def _look(self, view: View) -> Steps:
        """Return what nodes say of themselves, and which count as gone."""
        calls = [Call(STAND, PREFIX, (), node=member.id) for member in view.members]
        replies = yield Round(calls, lambda some: OUT not in some)
        seen: dict[str, Stand] = {}
        silent = []
        for call, reply in zip(calls, replies, strict=True):
            if not failed(reply):
                seen[call.node] = read_stand(reply)
            elif self.world.random.random() < 0.5:
                silent.append(call.node)
        return seen, silent

    def _other(self, view: View) -> Goal:
        """Return a view with another table."""
        nodes = [member.id for member in view.members if member.state == UP]
        count = min(view.replicas, len(nodes))
        table = tuple(tuple(self.world.random.sample(nodes, count)) for _ in range(view.slots))
        # it may be the same: to say the same once more at once is nothing that anybody wants
        return Goal(view.members, table, "somebody is restless", is_urgent=table == view.table)

    # -- those who come back ------------------------------------------------------------

    def _has_learned(self, view: View, goal: Goal, seen: dict[str, Stand]) -> Steps:
        """Copy to those who are to have slots that they do not have; tell whether they have all of them."""
        left: dict[str, list[int]] = {}
        for slot, (old, new) in enumerate(zip(view.table, goal.table, strict=True)):
            for node in new:
                if node not in old:
                    left.setdefault(node, []).append(slot)
        for node, slots in left.items():
            learner = yield from self._learner(
                view, next(each for each in goal.members if each.id == node), seen
            )
            if learner is None:
                return False
            found = yield from self._copying(level(self.speaking.standing, slots, learner=learner))
            if len(found.compared) < len(slots):
                return False
        return True

    def _learner(self, view: View, member: Member, seen: dict[str, Stand]) -> Steps:
        """Return a node that can be copied to; None if it does not answer."""
        stand = seen.get(member.id)
        if stand is None:
            return None
        known = view.member(member.id)
        if known is not None and known.state == UP:
            return Learner(member.id, stand.epoch)
        if stand.epoch != view.epoch:
            source = source_of(view, seen)
            if source is None:
                return None
            yield from furnish(PREFIX, source, member.id)
            if not (yield from teach(self._mandate, view, member)):
                return None
        return Learner(member.id, view.epoch)

    # -- copies -------------------------------------------------------------------------

    def _level(self) -> Steps:
        """Make all copies level, and have the nodes know if they are."""
        standing = self.speaking.standing
        began_s, began_ms, view = self.world.network.now_s, self.now_ms(), standing.view
        found = yield from self._copying(level(standing, list(range(self.world.rates.slots))))
        if not found.missed and (yield from self._copying(mark_level(standing, view, began_ms))):
            self.world.were_level(view, began_s)


def _agreeing(steps: Steps, is_late: Callable[[], bool]) -> Steps:
    """Hold a conversation with nodes that now and then asks for one with acceptors; tell whether it came to its end.

    One that waits for what never comes is given up when it is late.
    """
    try:
        request = next(steps)
        while not is_late():
            if not isinstance(request, Agreed):
                request = steps.send((yield request))
                continue
            try:
                result = yield from request.steps
            except AgreementError as error:
                request = steps.throw(error)
            else:
                request = steps.send(result)
    except StopIteration:
        return True
    steps.close()
    return False
