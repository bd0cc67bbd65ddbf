"""Schedules and those who fire them, all from one seed: leaders are lost in every way, and schedules change meanwhile.

Firing, registers, scripts and the node's memory are the real ones. Who leads is not agreed upon here (see
`tests/simulation/election`), but said: so a leader may be replaced at any moment, and not know it.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from taskmesh.consensus.founding import found
from taskmesh.coordination.schedule import ALLOW, BUFFER_ONE, MISFIRE, OVERLAP, PackedCall, Schedule
from taskmesh.core.script import Script
from taskmesh.testing.simulated_driver import BEGIN_MS, SimulatedProcess
from taskmesh.testing.simulated_network import Executed, NetworkFaults, SimulatedNetwork
from taskmesh.testing.simulated_node import SimulatedNode
from taskmesh.testing.virtual_time import VirtualTime
from tests.simulation.ledger import Violation
from tests.simulation.schedules.checker import Checker
from tests.simulation.schedules.parties import (
    NODE,
    PREFIX,
    Ender,
    Leader,
    Operator,
    Party,
    at_the_node,
    clock_of,
)

CALL = PackedCall("sums.add", options={"queue": "default", "result_ttl_s": 60})
FAULT_S = 90.0
#: After the trouble: what was missed is run, each schedule fires.
QUIET_S = 60.0
SETTLED_S_MAX = 120.0


class World:
    """One run.

    Attributes:
        definitions: The schedules as they are made.
        since_ms: From when on the firings of each count.
        healed: Whether the trouble is over.
    """

    def __init__(self, seed: int, scripts: Mapping[str, Script] | None = None) -> None:
        """Prepare a run; `run` does it.

        Args:
            seed: Decides everything.
            scripts: By name, wrong scripts to run in place of the right ones.
        """
        self.random = Random(f"schedules/{seed}")
        self.time = VirtualTime()
        self.node = SimulatedNode(seed=seed, clock_us=lambda: self.now_ms * 1000)
        self.epoch = self.node.set_epoch(PREFIX)
        self.network = SimulatedNetwork(self.time, self.node, self.random, scripts=scripts or {})
        self.checker = Checker(self)
        self.network.watchers.append(self._executed)
        self.definitions = self._drawn()
        self.by_name = {schedule.name: schedule for schedule in self.definitions}
        self.since_ms: dict[str, int] = {}
        self.healed = False
        self.leader: Leader | None = None
        self.parties: list[Party] = []
        self._tokens = 0
        self._violation: Violation | None = None

    @property
    def now_ms(self) -> int:
        """The node's clock, Unix time."""
        return BEGIN_MS + int(self.time.now_s * 1000)

    def _drawn(self) -> list[Schedule]:
        """Return some schedules of every policy."""
        chance = self.random
        made = [
            Schedule(
                f"{misfire}-{overlap}",
                f"every {chance.choice((1, 2, 5, 13, 25))}s"
                if misfire != "all"
                else f"every {chance.choice((4, 9, 25))}s",
                CALL,
                misfire=misfire,
                overlap=overlap,
            )
            for misfire in MISFIRE
            for overlap in OVERLAP
            if overlap == ALLOW or chance.random() < 0.5
        ]
        return [
            *made,
            Schedule("changed", "every 2s", CALL),
            Schedule("changed-buffered", "every 3s", CALL, overlap=BUFFER_ONE),
        ]

    def _executed(self, executed: Executed) -> None:
        self.checker.executed(executed)

    def defined(self) -> None:
        """Hear that all schedules are made."""
        self.since_ms = dict.fromkeys(self.by_name, self.now_ms)

    # -- the acts ---------------------------------------------------------------------

    def run(self) -> None:
        """Do the whole run.

        Raises:
            Violation: A promise was broken.
        """
        with clock_of(self):
            try:
                self._run()
            finally:
                for party in self.parties:
                    party.thread.kill()

    def _run(self) -> None:
        instances = iter(range(1, 99))
        founder = SimulatedProcess("founder", self.network)
        founder.start(at_the_node(found(PREFIX, [NODE], lambda: f"{next(instances):016x}", lambda _: "")))
        self.time.pass_by(1.0)
        self.operator = self._enter(Operator(self, self.definitions))
        if not self.time.run(lambda: bool(self.since_ms), 60.0):
            raise Violation("schedules could not be made though nothing was wrong")
        self._enter(Ender(self, "ender"))
        self._elect()
        self.network.faults = self._faults()
        self.time.pass_by(FAULT_S)
        self._heal()
        if not self.time.run(lambda: self.operator.is_done, SETTLED_S_MAX):
            raise Violation("the operator's changes do not come to an end")
        settled_ms = self.now_ms
        self.time.pass_by(QUIET_S)
        self.checker.judge(settled_ms)

    def _enter(self, party: Party) -> Party:
        self.parties.append(party)
        party.thread.start()
        return party

    def _faults(self) -> NetworkFaults:
        def rate(most: float) -> float:
            """Return a rate, or none: what is always on hides what needs quiet."""
            return most * 0.1 ** self.random.uniform(0, 2) if self.random.random() < 0.6 else 0.0

        return NetworkFaults(
            delay_s_max=0.01 if self.random.random() < 0.8 else 0.3,
            refused=rate(0.3),
            lost_request=rate(0.3),
            lost_replies=rate(0.3),
            late=rate(0.2),
            late_s_max=4.0,
        )

    def _heal(self) -> None:
        self.healed = True
        self.network.faults = NetworkFaults()
        self._enter(Ender(self, "second ender"))
        if self.leader is None:
            self._elect()

    # -- who leads --------------------------------------------------------------------

    def _elect(self) -> None:
        """Have somebody lead, for a while."""
        if self.leader is not None:
            return
        self._tokens += 1
        self.leader = leader = Leader(self, self._tokens)
        self._enter(leader)
        if not self.healed:
            self.time.after(self.random.expovariate(1 / 12.0), lambda: self._lose(leader))

    def _lose(self, leader: Leader) -> None:
        """Have a leader be lost, in one way or another, and have a next one, sooner or later."""
        if self.healed:
            return
        fate = self.random.choice(("dies", "resigns", "stands still", "does not know"))
        if fate == "dies":
            leader.thread.kill()
        elif fate == "resigns":
            leader.leads = False
        else:
            if fate == "stands still":
                leader.process.pause()
                self.time.after(self.random.uniform(0.1, 40.0), leader.process.resume)
            self.time.after(self.random.uniform(0.1, 30.0), lambda: self._tell(leader))
        self.leader = None
        drawn = self.random.random()
        absence_s = (
            self.random.uniform(0, 2) if drawn < 0.7 else self.random.uniform(2, 60 if drawn < 0.97 else 1500)
        )
        self.time.after(absence_s, self._elect)

    def _tell(self, leader: Leader) -> None:
        leader.leads = False
