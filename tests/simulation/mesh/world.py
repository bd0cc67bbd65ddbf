"""A mesh of several nodes, those who use it and those who lead it, over a bad network: one run from one seed.

First trouble, while the checkers look at everything that nodes execute; then everything is healed, every message must
come to its end, and all copies must be alike. What is checked has numbers:

I1 what was accepted is there in every later view; I2 it is final, or in exactly one index of its primary; I3 no token
is given twice; I4 one outcome; I5 an outcome that was seen is seen by all later readers; I6 commits only by the token
of the claim; I7 of one version there is one record; I8 one primary of a slot in an epoch; I9 epochs never decrease;
I10 indexes equal what follows from the records; I11 what was forgotten is there nowhere again (in one run of twenty);
I12 enough copies of what was promised, also after quiet time, and of a claim before its run begins; I13 what was
accepted is taken for new by no node, firings above all, which several leaders send (in one run of ten; see also
`tests/simulation/schedules`); I14 in the end all is final, and the view says what operators want; I15 who refuses sends
for want of memory still takes commits; I16 a message begins once more only if it was to be tried again, or one of those
who ran it died or was declared dead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import TypeVar

from taskmesh.consensus.registers import Versioned
from taskmesh.coordination.node_wish import NodeWish, NodeWishes, wished
from taskmesh.core import keys
from taskmesh.core.script import Script
from taskmesh.core.steps import Call, Reply
from taskmesh.replication import pieces
from taskmesh.replication.packed_view import joined, pack, unpack
from taskmesh.replication.view import ACTIVE, WEIGHT, Member, View
from taskmesh.replication.view_register import VIEW
from taskmesh.testing.simulated_driver import BEGIN_MS
from tests.simulation.mesh.callers import Caller
from tests.simulation.mesh.checkers.copies import Copies
from tests.simulation.mesh.checkers.epochs import Epochs
from tests.simulation.mesh.checkers.gates import Gates
from tests.simulation.mesh.checkers.indexes import Indexes
from tests.simulation.mesh.checkers.records import FINAL_LETTERS, Records
from tests.simulation.mesh.firings import Firings
from tests.simulation.mesh.leaders import Leader
from tests.simulation.mesh.ledger import PREFIX, BrokenPromise, Ledger, Plan
from tests.simulation.mesh.nemesis import Nemesis
from tests.simulation.mesh.network import Network, Process
from tests.simulation.mesh.party import Party, Steps
from tests.simulation.mesh.rates import Rates, draw
from tests.simulation.mesh.register import Registers
from tests.simulation.mesh.server import Server
from tests.simulation.mesh.workers import Worker

T = TypeVar("T")


@contextmanager
def pieces_of(size: int) -> Iterator[None]:
    """Have whoever copies do it in pieces of so many bytes."""
    before, pieces.PIECE_BYTES = pieces.PIECE_BYTES, size
    try:
        yield
    finally:
        pieces.PIECE_BYTES = before


#: Virtual seconds in which all must be over once the trouble has ended.
HEALED_S_MAX = 60.0
#: Of so many runs one goes on until all is forgotten: so many times so long.
AGING_SEEDS, AGES_MAX, AGE_S = 20, 5, 3 * 3600.0
#: In one of so many runs operators want something else of single nodes, where leaders of others are restless.
WISHING_SEEDS = 3
#: A node is recounted after so many calls.
RECOUNT_EVERY = 17
#: Scripts that copy records: what they write was made elsewhere.
COPYING = frozenset({"replication.apply", "replication.discard"})


class World:
    """One run."""

    def __init__(
        self, seed: int, *, rates: Rates | None = None, scripts: Mapping[str, Script] | None = None
    ) -> None:
        """Prepare a run; `run` does it.

        Args:
            seed: Decides everything.
            rates: Instead of those that the seed draws.
            scripts: By name, wrong scripts to run in place of the right ones.
        """
        self.seed = seed
        self.random = Random(seed)
        self.rates = draw(self.random) if rates is None else rates
        self.copying = COPYING
        self.servers: dict[str, Server] = {}
        self.network = Network(self.random, self.rates, self.servers)
        for number in range(1, self.rates.nodes + 1):
            address = f"s{number}"
            self.servers[address] = Server(address, self._clock_us, scripts or {}, self.rates.piece_bytes)
        self.registers = Registers(self.network)
        self.registers.watchers.append(self._agreed)
        self.ledger = Ledger()
        self.records = Records(self)
        self.copies = Copies(self)
        self.indexes = Indexes(self)
        self.gates = Gates(self)
        self.epochs = Epochs(self)
        self.ledger.told = self.copies.told
        self.network.watchers.append(self._executed)
        self.healed = self.over = self.moving = self.aging = False
        self.incarnations = 0
        self.tokens = self.instances = self._wishes_made = 0
        self.level_s = -1.0
        self.wishes = NodeWishes()
        self.first_view = self.view = self.view_before = self._found()
        self.callers = [Caller(self, number) for number in range(self.rates.callers)]
        self.workers = [Worker(self, number) for number in range(self.rates.workers)]
        self.leaders = [Leader(self, number) for number in range(self.rates.leaders)]
        self.firings = Firings(self)
        self.nemesis = Nemesis(self)

    def _clock_us(self) -> int:
        return BEGIN_MS * 1000 + int(self.network.now_s * 1e6)

    def _found(self) -> View:
        """Make the first view, which every node obeys; where operators want something, one is left to join."""
        servers = list(self.servers.values())
        if self._are_wishing and len(servers) > self.rates.replicas:
            servers.pop()
        members = tuple(
            Member(f"n{at}", server.address, f"{at:016x}", server.run_id)
            for at, server in enumerate(servers, 1)
        )
        ids = [member.id for member in members]
        rows = [self.random.sample(ids, self.rates.replicas) for _ in range(self.rates.slots)]
        table = tuple(tuple(row) for row in rows)
        view = View(1, ACTIVE, self.rates.slots, self.rates.replicas, members, table)
        for member in members:
            run = self.servers[member.address].node.call
            run((b"HSET", PREFIX + b"me", b"id", member.id, b"instance", member.instance))
            run((b"HSET", PREFIX + b"meta", b"mesh_id", b"sim", b"slots", b"%d" % self.rates.slots))
            run((b"SET", PREFIX + b"view", pack(view)))
            run((b"SET", PREFIX + b"own", view.own(member.id)))
            run((b"SET", PREFIX + b"epoch", view.epoch))
        return view

    # -- the acts -----------------------------------------------------------------------

    def run(self) -> None:
        """Do the whole run.

        Raises:
            BrokenPromise: A promise was broken.
        """
        with pieces_of(self.rates.piece_bytes or pieces.PIECE_BYTES):
            self._run()

    def _run(self) -> None:
        for party in self.parties():
            party.begin()
        self.network.faulty = True
        self.nemesis.begin()
        self.network.run(lambda: False, self.rates.long_s)
        self._heal()
        if self._will_age:
            # nothing is under way for hours: what is late arrives while there still is somebody to run it
            self.network.run(lambda: False, self.rates.late_s + self.rates.delay_s)
        if not self.network.run(self.all_over, HEALED_S_MAX):
            raise BrokenPromise(f"I14: no progress after the trouble: {self._what_is_open()}")
        self.over = True
        self._all_do("read", [(caller, caller.read_all()) for caller in self.callers])
        # what is late arrives now
        self.network.run(lambda: False, 1.0)
        quiet_s = self.network.now_s
        if not self.network.run(lambda: self.level_s > quiet_s, HEALED_S_MAX):
            raise BrokenPromise(f"I12: after the trouble copies are not level within {HEALED_S_MAX} s")
        if wished(self.view, self.wishes, self.new_instance) is not None:
            raise BrokenPromise(f"I14: the view does not become what operators want: {self.wishes}")
        for server in self.servers.values():
            self.indexes.check(server)
        self.copies.check_settled()
        if self._will_age:
            self._let_hours_pass()

    @property
    def _will_age(self) -> bool:
        return self.seed % AGING_SEEDS == 0

    def _let_hours_pass(self) -> None:
        """Let all be forgotten, by one node after the other, while others have it, and one gets an older disk."""
        self.aging = True
        # all of it may be forgotten now
        self.ledger.accepted.clear()
        self.ledger.told = lambda task_id, what: None
        old = self.random.choice(list(self.servers.values()))
        old.keep_disk()
        for turn in range(AGES_MAX):
            self.network.leap(AGE_S)
            for server in self.shuffled(list(self.servers.values())):
                self.workers[0].do("sweeps", self.workers[0].sweep(server))
                self.network.run(lambda: False, 4 * self.random.random())
            if turn == 1 and old.up:
                # it has again what all others have forgotten
                old.crash()
                self.start_server(old, older=True)
            self.network.run(lambda: False, 3.0)
            level_s = self.network.now_s
            if not self.network.run(lambda since=level_s: self.level_s > since, HEALED_S_MAX):
                raise BrokenPromise(f"I12: hours later copies are not level within {HEALED_S_MAX} s")
            if turn > 1 and not self._what_is_kept():
                break
        left = self._what_is_kept()
        if left:
            raise BrokenPromise(f"I11: hours later these are there still, or again: {left}")
        for server in self.servers.values():
            self.indexes.check(server)

    def _what_is_kept(self) -> list[tuple[str, bytes]]:
        """Return which records stand where they belong; what stands elsewhere is dropped with the slots that do."""
        return [
            (server.address, task_id)
            for task_id, plan in self.ledger.plans.items()
            for server in self.replicas(plan.slot)
            if task_id in self.records.on[server.address]
        ]

    def _all_do(self, what: str, deeds: Sequence[tuple[Party, Steps]]) -> None:
        """Have some do something, which must come to an end."""
        done: list[Party] = []

        def note(party: Party, steps: Steps) -> Steps:
            yield from steps
            done.append(party)

        for party, steps in deeds:
            party.do(what, note(party, steps))
        if not self.network.run(lambda: len(done) == len(deeds), HEALED_S_MAX):
            raise BrokenPromise(f"I14: after the trouble it takes more than {HEALED_S_MAX} s to {what}")

    def _heal(self) -> None:
        self.healed = True
        self.network.faulty = False
        self.network.cut.clear()
        for server in self.servers.values():
            server.node.set_memory_full(full=False)
            if server.stopped:
                self.network.go_on_server(server)
            if not server.up:
                self.start_server(server)
        for party in self.parties():
            party.process.go_on()
        for party in [*self.workers, *self.leaders]:
            if not party.process.alive:
                self.replace(party)
        # one that leads for good; before, some have believed so
        for leader in self.leaders[1:]:
            leader.process.kill()
        del self.leaders[1:]
        for caller in self.callers:
            caller.insist()
        self.workers[0].do("clears", self.workers[0].clear())

    def dissolve(self) -> None:
        """Let go of everything: a world is a circle, and looking for circles costs time."""
        self.network.dissolve()
        for party in self.parties():
            vars(party.process).clear()
            vars(party).clear()
        vars(self.network).clear()
        vars(self).clear()

    def all_over(self) -> bool:
        """Tell whether every message is sent, and final where it is led, as what came late must be."""
        if self.firings.left or not all(caller.is_done for caller in self.callers):
            return False
        for task_id, plan in self.ledger.plans.items():
            (primary, *_) = self.replicas(plan.slot)
            record = self.records.on[primary.address].get(task_id)
            if record is None and not plan.stands:
                continue
            if record is None or record[1:2] not in FINAL_LETTERS:
                return False
        return True

    def _what_is_open(self) -> str:
        unsent = [caller.name for caller in self.callers if not caller.is_done]
        stand = {
            task_id.decode(): {
                address: records[task_id][:108].decode()
                for address, records in self.records.on.items()
                if task_id in records
            }
            for task_id in self.ledger.plans
        }
        return f"callers that still send: {unsent}; moments to fire: {self.firings.left}; records: {stand}"

    # -- what checkers ask --------------------------------------------------------------

    def _executed(self, server: Server, process: Process, call: Call, reply: Reply) -> None:
        self.records.executed(server, process, call, reply)
        self.epochs.executed(server, process, call, reply)
        if self.network.executed % RECOUNT_EVERY == 0:
            self.indexes.check(server)

    def plan(self, plan: Plan) -> None:
        """Note a message that is about to be sent."""
        self.ledger.plans[plan.task_id] = plan

    def held_before(self, unique: bytes, sequence: bytes) -> tuple[bytes, ...]:
        """Return the messages with the same key that were accepted and have not ended yet."""
        plans = self.ledger.plans
        return tuple(
            each
            for each in sorted(self.ledger.accepted)
            if (unique and plans[each].unique == unique) or (sequence and plans[each].sequence == sequence)
            if not self.gates.is_final(each)
        )

    def replicas(self, slot: int) -> list[Server]:
        """Return the servers which hold a slot, by the newest view, its primary first."""
        return [self.server_of(node) for node in self.view.table[slot]]

    def server_of(self, node: str) -> Server:
        """Return where a member of the newest view is."""
        member = self.view.member(node)
        assert member is not None
        return self.servers[member.address]

    def needed(self, slot: int) -> int:
        """Return how many copies make a change of a slot count, by one of the last two views."""
        return min(self.view.copies_needed(slot), self.view_before.copies_needed(slot))

    def _agreed(self, name: str, held: Versioned) -> None:
        """The register of the view has changed."""
        if name != VIEW or held.content is None:
            return
        view = unpack(joined(held.content, {}))
        self.moving = view.phase != ACTIVE
        if not self.moving:
            self.view_before, self.view = self.view, view

    def were_level(self, view: View, moment_s: float) -> None:
        """All copies were level at a moment, and all nodes know."""
        whole = all(len(row) == self.rates.replicas for row in view.table)
        if whole and view.number == self.view.number:
            self.level_s = moment_s

    def address_of(self, node: str) -> str:
        """Return where a member of any view is."""
        return f"s{node[1:]}"

    def began_to_lead(self, server: Server, number: int) -> None:
        """A server obeys a view from now on; nobody speaks with it if it is not the one that was admitted."""
        for member in self.view.members if number == self.view.number else ():
            if member.address == server.address and member.run_id == server.run_id and not self.aging:
                self.copies.check_led(server, self.view.own(member.id))

    def removed(self, server: Server, task_id: bytes, old: bytes | None, call: Call) -> None:
        """A record is gone from a server. No run lasts as long as records are remembered."""
        if call.script is not None and call.script.name == "replication.discard":
            return
        if self.aging:
            self.records.forgotten.add((server.address, server.run, task_id))
            return
        raise BrokenPromise(f"{task_id!r} is gone from {server.address} by {call}; it was {old!r}")

    # -- who there is -------------------------------------------------------------------

    def parties(self) -> list[Party]:
        """Return all processes."""
        return [*self.callers, *self.workers, *self.leaders]

    def mortals(self) -> list[Party]:
        """Return the processes that may be killed: what callers know is what is checked."""
        return [*self.workers, *self.leaders]

    def replace(self, party: Party) -> None:
        """Start another process in place of one that was killed."""
        if isinstance(party, Worker) and party in self.workers:
            other = Worker(self, len(self.workers) + self.incarnations)
            self.workers[self.workers.index(party)] = other
            other.begin()
        elif isinstance(party, Leader) and party in self.leaders:
            next_one = Leader(self, len(self.leaders) + self.incarnations)
            self.leaders[self.leaders.index(party)] = next_one
            next_one.begin()

    def alive(self) -> set[bytes]:
        """Return the incarnations of workers that live."""
        return {worker.incarnation for worker in self.workers if worker.process.alive}

    def new_incarnation(self) -> bytes:
        """Return an incarnation that nobody had before."""
        self.incarnations += 1
        return b"%016x" % self.incarnations

    def has_wake_up(self, node: str, holder: bytes) -> bool:
        """Tell whether a node has woken a child that waits there."""
        return keys.wake(PREFIX, holder) in self.servers[self.address_of(node)].node.values

    def shuffled(self, some: Sequence[T]) -> list[T]:
        """Return them in some order."""
        return self.random.sample(list(some), len(some))

    # -- servers ------------------------------------------------------------------------

    def bears_loss(self, server: Server) -> bool:
        """Tell whether the promises hold if a server loses its disk now: of no slot all copies that count are lost."""
        views = (self.view, self.view_before) if self.moving else (self.view,)
        return all(
            sum(self.server_of(node) is server or self._has_lost(node) for node in row) < len(row) // 2 + 1
            for view in views
            for row in set(view.table)
        )

    def _has_lost(self, node: str) -> bool:
        """Tell whether a member has lost its disk since the newest view admitted it."""
        member = self.view.member(node)
        assert member is not None
        return self.servers[member.address].has_lost_since(member.run_id)

    def start_server(self, server: Server, *, older: bool = False, empty: bool = False) -> None:
        """Start a server anew."""
        if server.up:
            return
        if not self.bears_loss(server):
            older = empty = False
        if older or empty:
            self.copies.before_loss(server)
        server.start(older=older, empty=empty)
        self.records.lost(server)
        self.epochs.lost(server)
        for caller in self.callers:
            caller.listen(server)

    def change_view(self) -> None:
        """Have a leader change the view without need, or an operator want something else of a node."""
        if self._are_wishing:
            self._wish()
        elif self.leaders:
            self.random.choice(self.leaders).restless = True

    @property
    def _are_wishing(self) -> bool:
        return self.rates.change > 0 and self.seed % WISHING_SEEDS == 0

    def _wish(self) -> None:
        """Have an operator want another weight of a node, one that nobody wanted before, or a server as a node."""
        number = self.random.randint(1, len(self.servers))
        self._wishes_made += 1
        wish = NodeWish(f"s{number}", WEIGHT + self._wishes_made)
        self.wishes = NodeWishes({**self.wishes.nodes, f"n{number}": wish})

    def next_token(self) -> int:
        """Return a leader's token, greater than all before."""
        self.tokens += 1
        return self.tokens

    def new_instance(self) -> str:
        """Return an instance that no node was."""
        self.instances += 1
        return f"{0xA0000000 + self.instances:016x}"
