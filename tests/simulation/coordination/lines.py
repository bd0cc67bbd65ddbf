"""Semaphores and elections: what clients do, and what must hold.

L1: never do more than so many rely on what they hold. L2: whoever relies on it holds it, as was agreed. L3: tokens
strictly grow, and none is given twice. L4: nobody acts in time after one with a greater token did. A12: in the end
everybody gets his turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from taskmesh.client.election import Election
from taskmesh.client.hold import Hold
from taskmesh.client.holding import Holding
from taskmesh.client.lock import Semaphore
from taskmesh.coordination.line import read_line
from taskmesh.coordination.token import COUNTER
from taskmesh.core.steps import Pause
from taskmesh.errors import AgreementError
from tests.simulation.agreement.checkers.broken import BrokenPromise
from tests.simulation.agreement.checkers.chain import Chosen
from tests.simulation.agreement.clients import Steps
from tests.simulation.coordination.world import QUIET_S, TTL_S, CoordinationWorld

if TYPE_CHECKING:
    from tests.simulation.coordination.peers import Peer

PERMITS = 2
#: How often somebody is stopped just before he acts.
TORN = 0.05


def permits(peer: Peer) -> Holding:
    """Return a semaphore."""
    coordinator: Any = peer
    return Semaphore(lambda: coordinator, "x", PERMITS, ttl=TTL_S, lock_delay=0.0)


def election(peer: Peer) -> Holding:
    """Return an election."""
    coordinator: Any = peer
    return Election(lambda: coordinator, "x", ttl=TTL_S)


class Holder:
    """A client that holds something now and then, and acts upon it."""

    def __init__(self, peer: Peer, judge: Lines) -> None:
        self.peer = peer
        self.judge = judge
        self.random = peer.world.random

    def work(self) -> Steps:
        """Hold it some times; once more, for certain, when there are no more faults."""
        world, rates = self.peer.world, self.peer.world.rates
        for _ in range(rates.changes):
            yield Pause(self.random.random() * rates.long_s / 2)
            if world.faulty:
                yield from self._turn(self.random.choice((0.0, 2.0, None)))
        while not (yield from self._turn(None)):
            yield Pause(0.3)

    def _turn(self, wait_s: float | None) -> Steps:
        """Hold it once; return whether it was got."""
        peer, holding = self.peer, self.judge.made(self.peer)
        request = self.random.getrandbits(64).to_bytes(8, "big")
        coordinator: Any = peer
        try:
            got = yield from holding._acquire(coordinator, peer.means, request, wait_s, in_block=False)
        except AgreementError:
            return False
        if not got:
            return False
        hold = holding._held()
        peer.acting.append(hold)
        for _ in range(self.random.randrange(1, 6)):
            self.judge.acts(hold)
            yield Pause(self.random.random())
        peer.acting.remove(hold)
        holding._let_go(hold)
        yield from holding._release(coordinator, hold)
        return True


class Lines:
    """What must hold.

    Attributes:
        acted: How often somebody acted.
        refused: How often one came too late, and his token said so.
        granted: Tokens that were given, in this order.
    """

    watches = False
    quiet_s = QUIET_S

    def __init__(
        self, world: CoordinationWorld, kind: str, limit: int, made: Callable[[Peer], Holding]
    ) -> None:
        self.world = world
        self.prefix = f"{kind}/"
        self.made = made
        self.acted = self.refused = 0
        self.granted: list[int] = []
        self._limit = limit
        self._of: dict[bytes, int] = {}
        self._highest = 0

    def client(self, peer: Peer) -> Holder:
        """Return a client of a process."""
        return Holder(peer, self)

    def acts(self, hold: Hold) -> None:
        """Have somebody act, if he believes that he may."""
        if hold.trouble() is not None:
            return
        self.acted += 1
        if self.world.obeys:
            self._is_right(hold)
        if self._limit == 1 and self.world.random.random() < TORN:
            # stopped between the look at its lease and what it does
            self.world.after(self.world.random.random() * 15, self._arrives, hold.token)
        elif self._limit == 1:
            if self.world.obeys and hold.token < self._highest:
                raise BrokenPromise(f"L4: {hold.name}: token {hold.token} is used after {self._highest}")
            self._arrives(hold.token)

    def _is_right(self, hold: Hold) -> None:
        held = read_line(self.world.content(hold.register)).holder(hold.request)
        if held is None or held.token != hold.token:
            raise BrokenPromise(f"L2: {hold.name}: somebody acts with token {hold.token}, and it is not his")
        believe = [
            other.token
            for peer in self.world.peers.values()
            if peer.alive
            for other in peer.acting
            if other.trouble() is None
        ]
        if len(believe) > self._limit:
            raise BrokenPromise(f"L1: {hold.name}: these rely on it at once: {sorted(believe)}")

    def _arrives(self, token: int) -> None:
        """Have it arrive where the highest token is known."""
        if token < self._highest:
            self.refused += 1
        self._highest = max(token, self._highest)

    def chosen(self, name: str, before: Chosen | None, after: Chosen) -> None:
        """See who holds it now, and with which tokens."""
        line = read_line(after.value.content)
        if len(line.holders) > self._limit:
            raise BrokenPromise(f"L1: {name}: {len(line.holders)} hold it: {line}")
        for entry in sorted(line.holders, key=lambda entry: entry.token):
            if self._of.get(entry.request) != entry.token:
                if self.granted and entry.token <= self.granted[-1]:
                    raise BrokenPromise(f"L3: {name}: token {entry.token} is given after {self.granted[-1]}")
                self._of[entry.request] = entry.token
                self.granted.append(entry.token)

    def was_told(self, peer: Peer, path: str, before: int, version: int) -> None:
        """Nobody watches."""

    def judge(self) -> None:
        """See that the counter of tokens never went back."""
        drawn = [int(link.value.content or b"0") for link in self.world.chains.of(COUNTER).links]
        if drawn != sorted(drawn):
            raise BrokenPromise(f"L3: the counter of tokens went back: {drawn}")


def semaphores(world: CoordinationWorld) -> Lines:
    """Histories of a semaphore."""
    return Lines(world, "semaphore", PERMITS, permits)


def elections(world: CoordinationWorld) -> Lines:
    """Histories of an election."""
    return Lines(world, "election", 1, election)
