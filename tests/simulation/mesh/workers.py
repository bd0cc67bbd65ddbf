"""Workers: one child each, which claims from every node, runs and commits; and now and then declares others dead.

A worker believes nothing of clocks here: whom it declares dead, the run decides. So what others take for dead often
lives, and comes back to commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskmesh.core import keys
from taskmesh.core.record import TOKEN
from taskmesh.core.steps import OUT, Call, Pause, Round
from taskmesh.errors import NodeFault, NodeUnavailable
from taskmesh.queue import claim as claiming
from taskmesh.queue.claim import Claimed, claim, held
from taskmesh.queue.commit import DONE, NO_EPOCH, REFUSED, RELEASED, REPEATED, commit, retried
from taskmesh.queue.workers import beat, bury, children, declare_dead, reap, register
from tests.simulation.mesh.callers import QUEUE
from tests.simulation.mesh.ledger import PREFIX, BrokenPromise
from tests.simulation.mesh.party import Party, Steps
from tests.simulation.mesh.server import Server

if TYPE_CHECKING:
    from tests.simulation.mesh.world import World

CHILD = b"000001"
BUILD = b"build"
PATIENCE_S = 1.0
IDLE_S_MAX = 0.8


class Worker(Party):
    """One worker."""

    def __init__(self, world: World, number: int) -> None:
        super().__init__(world, f"worker{number}")
        self.incarnation = b""
        self.sequences: dict[str, int] = {}
        self.idle_at: set[str] = set()
        self.holds: set[tuple[bytes, bytes]] = set()
        self.has_lost = False
        self._compare_at_s = 1.0
        self._life = 0

    @property
    def holder(self) -> bytes:
        """What its claims are held by."""
        return self.incarnation + CHILD

    def begin(self) -> None:
        """Begin a life, with an incarnation that nobody had before."""
        self._life += 1
        self.world.records.harmed(self.incarnation)
        self.idle_at.clear()
        self.incarnation = self.world.new_incarnation()
        self.sequences = {}
        self.holds = set()
        self.has_lost = False
        self.do("lives", self._live(self._life))

    def _live(self, life: int) -> Steps:
        idle_s = 0.01
        while self._life == life and not self.world.over:
            found = False
            for node in self.world.shuffled(self.speaking.nodes):
                if self._life == life:
                    found = (yield from self._take_from(node)) or found
            if self.world.network.now_s >= self._compare_at_s:
                self._compare_at_s = self.world.network.now_s + 1.0
                yield from self.quietly(self._compare())
            idle_s = 0.01 if found else min(IDLE_S_MAX, 3 * idle_s)
            yield Pause(idle_s)

    def _take_from(self, node: str) -> Steps:
        """Claim from a node, run and commit; tell whether there was anything."""
        try:
            if node not in self.sequences:
                yield from self.talk(
                    register(self.session, self.incarnation, b"{}", patience_s=PATIENCE_S), node
                )
                self.sequences[node] = 0
            claimed = (yield from self._hear(node)) or (yield from self._claim(node))
        except NodeUnavailable:
            return False
        except NodeFault as error:
            said = str(error.__dict__.get("text", ""))
            if said.startswith("DEADWORKER"):
                self.begin()
                return False
            if said.startswith("OLDSEQUENCE"):
                # a message was handed over since, or the node led before and remembers
                self.sequences[node] = int(said.split()[1], 16) - 1
                return True
            raise
        if claimed:
            yield from self._run(node, claimed)
        return bool(claimed)

    def _hear(self, node: str) -> Steps:
        """Return what came with a wake-up, if this child is registered as idle there and there is one."""
        if node not in self.idle_at or not self.world.has_wake_up(node, self.holder):
            return []
        (wake_up,) = yield Round(
            [Call(None, PREFIX, (b"LPOP", keys.wake(PREFIX, self.holder)), node=node)],
            lambda some: OUT not in some,
        )
        handed = None
        if isinstance(wake_up, bytes):
            handed = claiming.handed_over(wake_up, self.sequences[node], self.session.epoch)
        if handed is None:
            return []
        self.idle_at.discard(node)
        self.sequences[node] += 1
        return [handed]

    def _claim(self, node: str) -> Steps:
        most = self.world.random.choice((1, 1, 2))
        while True:
            sequence = self.sequences[node] + 1
            steps = claim(
                self.session, self.holder, sequence, most, [QUEUE], idle=False, patience_s=PATIENCE_S
            )
            claimed = yield from self.talk(steps, node)
            self.sequences[node] = sequence
            (self.idle_at.discard if claimed else self.idle_at.add)(node)
            return claimed

    def _run(self, node: str, batch: list[Claimed]) -> Steps:
        life, holder, sequence = self._life, self.holder, self.sequences[node]
        entries: list[bytes] = []
        for claimed in batch:
            plan = self.world.ledger.plans[claimed.task_id]
            plan.runs += 1
            self.holds.add((claimed.task_id, claimed.token))
            self.world.records.began(claimed)
            self.world.gates.began(claimed.task_id)
            if plan.function:
                yield from self._fetch(node, plan.function)
            yield Pause(plan.duration_s)
            if plan.runs <= plan.again:
                outcome = retried(self.now_ms() + 50, b"Y|%s|+" % claimed.task_id)
                entries += (claimed.task_id, claimed.token, b"Y", outcome)
            else:
                outcome = b"%s|%s|%s|%d" % (plan.letter, claimed.task_id, holder, plan.runs)
                entries += (claimed.task_id, claimed.token, plan.letter, outcome)
        yield from self._commit(holder, entries)
        done = [(sequence, NO_EPOCH if self.has_lost else batch[0].epoch)]
        if self._life == life:
            steps = commit(self.session, holder, BUILD, done, (), patience_s=PATIENCE_S)
            yield from self.quietly(self.talk(steps, node))

    def _fetch(self, node: str, function: bytes) -> Steps:
        """Look for the function of a message where that was claimed."""
        call = Call(None, PREFIX, (b"GET", keys.function(PREFIX, function.decode())), node=node)
        (reply,) = yield Round([call], lambda some: OUT not in some)
        if reply is None:
            raise BrokenPromise(f"the function {function!r} of what was claimed on {node} is not there")

    def _commit(self, holder: bytes, entries: list[bytes]) -> Steps:
        while True:
            steps = commit(self.session, holder, BUILD, (), entries, patience_s=PATIENCE_S)
            try:
                verdicts = yield from self.talk(steps)
            except NodeUnavailable:
                continue
            break
        for at, verdict in enumerate(verdicts):
            task_id, token, letter, outcome = entries[4 * at : 4 * at + 4]
            self.holds.discard((task_id, token))
            self.has_lost |= verdict == REFUSED
            if verdict in (DONE, REPEATED):
                self.world.records.heard_committed(task_id, token, letter, outcome)

    def _compare(self) -> Steps:
        """Give back what is held by us as nodes believe, and is not: the answer to a claim was lost."""
        for node in self.speaking.nodes:
            if node not in self.sequences:
                continue
            found = yield from self.talk(held(self.session, self.holder, patience_s=PATIENCE_S), node)
            strange = [
                (task_id.encode(), head[TOKEN])
                for sequence, _, task_id, head in found
                if sequence != self.sequences[node] + 1 and (task_id.encode(), head[TOKEN]) not in self.holds
            ]
            if strange:
                entries = [word for pair in strange for word in (*pair, RELEASED, b"")]
                yield from self._commit(self.holder, entries)

    # Others

    def declare(self, incarnations: list[bytes]) -> None:
        """Declare workers dead, and put back what they held: on every node, or on some."""
        for node in self.world.shuffled(self.speaking.nodes):
            self.do("reaps", self._declare(node, incarnations))

    def _declare(self, node: str, incarnations: list[bytes]) -> Steps:
        try:
            found = yield from self.talk(beat(self.session, self.incarnation), node)
            for other in found:
                if other.incarnation in incarnations and other.incarnation != self.incarnation:
                    self.world.records.harmed(other.incarnation)
                    yield from self.talk(declare_dead(self.session, other.incarnation, other.count), node)
                    yield from self._reap(node, other.incarnation)
        except (NodeUnavailable, NodeFault):
            return

    def _reap(self, node: str, incarnation: bytes) -> Steps:
        for child in (yield from self.talk(children(self.session, incarnation), node)):
            steps = reap(self.session, incarnation + child, self.incarnation, [QUEUE])
            yield from self.talk(steps, node)
        yield from self.talk(bury(self.session, incarnation), node)

    def sweep(self, server: Server) -> Steps:
        """Beat on one node until it has removed all that is due: each beat removes some."""
        for _ in range(6):
            for node in self.speaking.nodes:
                if self.world.address_of(node) != server.address:
                    continue
                try:
                    # others may have declared this one dead there
                    yield from self.talk(register(self.session, self.incarnation, b"{}"), node)
                    yield from self.talk(beat(self.session, self.incarnation), node)
                except (NodeUnavailable, NodeFault):
                    break
            yield Pause(0.05)

    def clear(self) -> Steps:
        """Reap all those that live no more, on every node, again and again: what watchers do."""
        while not self.world.over:
            for node in self.speaking.nodes:
                alive = self.world.alive()
                try:
                    found = yield from self.talk(beat(self.session, self.incarnation), node)
                except (NodeUnavailable, NodeFault):
                    continue
                gone = [other.incarnation for other in found if other.incarnation not in alive]
                yield from self._declare(node, gone)
            yield Pause(0.5)
