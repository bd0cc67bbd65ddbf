"""One run of the simulation: a node, workers, clients and a nemesis, all from one seed.

First trouble, while the checkers look at everything the node does; then everything is healed, and every accepted
message must come to its end; then days pass, and nothing may be left.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from taskmesh.core.record import parse
from taskmesh.core.script import Script
from taskmesh.core.state import FINAL
from taskmesh.queue.workers import beat
from taskmesh.testing.simulated_driver import SimulatedProcess
from taskmesh.testing.simulated_network import Executed, NetworkFaults, SimulatedNetwork
from taskmesh.testing.simulated_node import SimulatedNode, Snapshot
from taskmesh.testing.virtual_time import VirtualTime
from tests.simulation.checkers.claims import Claims
from tests.simulation.checkers.gates import Gates
from tests.simulation.checkers.indexes import Indexes
from tests.simulation.checkers.lines import Lines
from tests.simulation.checkers.moves import Moves
from tests.simulation.checkers.notices import Notices
from tests.simulation.checkers.runs import Runs
from tests.simulation.checkers.starts import Starts
from tests.simulation.checkers.turns import Turns
from tests.simulation.checkers.workers import Workers
from tests.simulation.client import Client
from tests.simulation.ledger import PREFIX, Ledger, Violation
from tests.simulation.nemesis import Nemesis
from tests.simulation.rates import HISTORIES, Rates
from tests.simulation.supervisor import LEASE_TTL_S, Supervisor

#: Virtual seconds in which all must be over once the trouble has ended: late requests, leases, graces, polls.
HEALED_S_MAX = 60.0
#: The indexes are recounted after so many calls.
RECOUNT_EVERY = 23
SWEEPS_MAX = 400


class World:
    """One run."""

    def __init__(self, history: str, seed: int, scripts: Mapping[str, Script] | None = None) -> None:
        """Prepare a run; `run` does it.

        Args:
            history: A name of `HISTORIES`.
            seed: Decides everything.
            scripts: By name, wrong scripts to run in place of the right ones.
        """
        self.seed = seed
        self.random = Random(f"{history}/{seed}")
        self.rates: Rates = HISTORIES[history](self.random)
        self.time = VirtualTime()
        self.node = SimulatedNode(seed=seed, clock_us=lambda: int(self.time.now_s * 1e6))
        self.epoch = self.node.set_epoch(PREFIX)
        self.network = SimulatedNetwork(self.time, self.node, self.random, scripts=scripts or {})
        self.network.watchers.append(self._executed)
        self.ledger = Ledger()
        self.moves = Moves(self)
        self.claims = Claims(self)
        self.runs = Runs(self)
        self.indexes = Indexes(self)
        self.gates = Gates(self)
        self.notices = Notices(self)
        self.lines = Lines(self)
        self.turns = Turns(self)
        self.starts = Starts(self)
        self.workers = Workers(self)
        self.healed = False
        self.healed_s = 0.0
        self.queues = [b"default", b"mail", b"rare", b"bulk"][: self.rates.queues]
        weigh = Random(f"weights/{seed}")
        self.weights = {queue.decode(): weigh.randint(1, 4) for queue in self.queues}
        self.supervisors: list[Supervisor] = []
        self.incarnations = 0
        self.clients = [Client(self, number) for number in range(2)]
        self.nemesis = Nemesis(self)

    # The three acts

    def run(self) -> None:
        """Do the whole run.

        Raises:
            Violation: A promise was broken.
        """
        for _ in range(self.rates.workers):
            self.hire()
        for client in self.clients:
            client.begin()
        # the first to connect makes the mesh; after that the trouble may begin
        self.time.pass_by(0.2)
        self.network.faults = self.rates.network
        self.nemesis.begin()
        self.time.pass_by(self.rates.fault_s)
        self._heal()
        if not self.time.run(self.all_over, HEALED_S_MAX):
            raise Violation(f"no progress after the trouble: {self._what_is_open()}")
        self.time.pass_by(0.5)
        self.moves.check_accepted()
        self.starts.check_reached()
        for client in self.clients:
            client.read_all()
        self.time.pass_by(1.0)
        # what was sent once more and arrived late is a message that nobody waited for, and comes to its end as well
        if not self.time.run(self.all_over, HEALED_S_MAX):
            raise Violation(f"no progress of what arrived late: {self._what_is_open()}")
        self.indexes.check(settled=True)
        self._let_days_pass()

    def _heal(self) -> None:
        self.healed, self.healed_s = True, self.time.now_s
        self.nemesis.end()
        self.network.faults = NetworkFaults()
        if not any(supervisor.process.alive for supervisor in self.supervisors):
            self.hire()
        # a build that knows everything, so that nothing waits for one for ever
        for client in self.clients:
            client.insist()

    def all_over(self) -> bool:
        """Tell whether every message is sent, and final."""
        return self.node.running and not self.moves.open and all(client.is_done for client in self.clients)

    def _what_is_open(self) -> str:
        shown = []
        for task_id in sorted(self.moves.open)[:3]:
            record = self.moves.records[task_id]
            shown.append(f"{task_id.decode()} ({self.ledger.plans[task_id].kind}): {record[:108].decode()}")
        unsent = [client.process.name for client in self.clients if not client.is_done]
        return f"{len(self.moves.open)} messages are not final: {shown}; clients that still send: {unsent}"

    def _let_days_pass(self) -> None:
        """Sweep far ahead in time; then nothing may be left of any message or function."""
        # what is late arrives, and those whom it concerns notice
        self.time.pass_by(max(0.0, self.network.last_arrival_s - self.time.now_s) + 2.0)
        # those who survive notice who does not, one after the other where each watches few, and then leave as well
        self.time.pass_by(4 * LEASE_TTL_S)
        for supervisor in self.supervisors:
            supervisor.retire()
        self.time.pass_by(5.0)
        sweeper = SimulatedProcess("sweeper", self.network, clock_skew_s=8 * 86_400.0)
        session = sweeper.session(PREFIX, epoch=self.epoch)
        incarnation = b"5" * 16
        self.node.values.pop(PREFIX + b"w:" + incarnation, None)
        self.node.call((b"HSET", PREFIX + b"w:" + incarnation, b"state", b"live", b"beat", b"1"))
        self.workers.look_at(incarnation)
        for _ in range(SWEEPS_MAX):
            if PREFIX + b"xb" not in self.node.values:
                break
            sweeper.start(beat(session, incarnation))
            self.time.pass_by(0.1)
        self.indexes.check_nothing_left()

    # What happens to the node

    def restart_node(self, disk: Snapshot | None) -> None:
        """Let the node crash and come back, with its disk as it was or with an older one."""
        self.node.crash()
        self.network.node_crashed()
        if disk is not None:
            self.node.restore(disk)
            self.moves.came_back_older()
            self.claims.came_back_older()
            self.gates.came_back_older()
            self.lines.came_back_older()
            self.starts.came_back_older()
            self.workers.came_back_older()

        def back() -> None:
            self.node.restart()
            self.epoch = self.node.set_epoch(PREFIX)
            for client in self.clients:
                client.listen()

        self.time.after(self.random.uniform(0.01, 1.0), back)

    def _executed(self, executed: Executed) -> None:
        self.moves.executed(executed)
        self.claims.executed(executed)
        self.gates.executed(executed)
        self.lines.executed(executed)
        self.starts.executed(executed)
        self.workers.executed(executed)
        if self.network.executed % RECOUNT_EVERY == 0:
            self.indexes.check(settled=False)

    # What happens to processes

    def hire(self) -> Supervisor:
        """Start a worker."""
        supervisor = Supervisor(self, len(self.supervisors))
        self.supervisors.append(supervisor)
        supervisor.begin()
        return supervisor

    def new_incarnation(self) -> bytes:
        """Return an incarnation that nobody had before."""
        self.incarnations += 1
        return b"%016x" % self.incarnations

    # What checkers ask

    def record(self, task_id: bytes) -> bytes | None:
        """Return the record of an id as it stands on the node."""
        value: Any = self.node.values.get(PREFIX + b"r:" + task_id)
        return value

    def is_final(self, record: bytes) -> bool:
        """Tell whether a record is final."""
        return parse(record).state in FINAL
