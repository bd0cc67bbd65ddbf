"""One candidate: it watches the leader, bids when there is none, renews while it leads, and resigns.

A conversation per turn; whoever runs it (a thread, or a simulation) waits as long as the turn says before the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from taskmesh.consensus.chain import look
from taskmesh.consensus.quorum import majority
from taskmesh.consensus.registers import Operation, Registers
from taskmesh.coordination.leader import (
    REGISTER,
    RENEW_S,
    Candidate,
    Leader,
    Tenure,
    Watch,
    bid,
    renew,
    resign,
    unpack_leader,
)
from taskmesh.core.steps import GroupSteps, Pause
from taskmesh.errors import AgreementError, LeadershipLost

#: How often a candidate that does not lead looks: it bounds how long a handover takes.
LOOK_S = 0.25
#: How often one does that stands back, since enough others stand by: so much later it bids if all of these are lost.
LOOK_BACK_S = 10.0
#: Candidates that see a lease lapse do not bid at one moment.
JITTER_S = 0.5
#: Nor do those that see that the leader has resigned.
RESIGNED_JITTER_S = 0.05
#: How long to wait after a renewal that failed.
AGAIN_S = 0.2


@dataclass(slots=True)
class Candidacy:
    """A candidate's part in the election.

    Attributes:
        registers: The way to what acceptors agree upon.
        candidate: Who stands.
        clock_s: A clock that never goes back and does not stand still while the machine sleeps.
        now_ms: Unix time, for people.
        operation: Makes a new wish to change something.
        token_min: Tells the least token that it may have now, see `least_token`.
        tenure: Its lead; None while it does not lead.
        look_s: How often it looks while it does not.
    """

    registers: Registers
    candidate: Candidate
    clock_s: Callable[[], float]
    now_ms: Callable[[], int]
    operation: Callable[[], Operation]
    token_min: Callable[[], int]
    tenure: Tenure | None = None
    look_s: float = LOOK_S
    _watch: Watch = field(default_factory=Watch)

    @property
    def may_act(self) -> bool:
        """Whether it leads, and its lease lasts."""
        return self.tenure is not None and self.tenure.holds(self.clock_s())

    def turn(self) -> GroupSteps[float]:
        """Look, bid or renew, and return after how many seconds the next turn is due.

        Raises:
            AgreementError: Too few acceptors answered; the next turn tries again.
        """
        if self.tenure is not None:
            return (yield from self._renew(self.tenure))
        found = yield from self.look()
        if found.holder == self.candidate.id:
            # it was elected by a bid of which it has not heard: nothing is known of when
            self.tenure = Tenure(found.token)
            return 0.0
        if self._watch.may_bid(self.clock_s()):
            yield from self._bid()
        return 0.0 if self.tenure is not None else self.look_s

    def look(self) -> GroupSteps[Leader]:
        """Return what the register says, and remember since when it does."""
        versioned = yield from self.registers.read(REGISTER)
        found = unpack_leader(versioned.content)
        self._watch.saw(found.mark, self.clock_s())
        return found

    def _bid(self) -> GroupSteps[None]:
        seen = self._watch.mark
        if seen is None:
            return
        chance = self.registers.chance
        yield Pause(chance.uniform(0, JITTER_S if seen.holder else RESIGNED_JITTER_S))
        change = bid(self.candidate, seen, token_min=self.token_min(), now_ms=self.now_ms())
        sent_s = self.clock_s()
        changed = yield from self.registers.change(REGISTER, change, self.operation(), sticky=True)
        if changed.answer:
            self.tenure = Tenure(int(changed.answer))
            self.tenure.renewed(sent_s)
        else:
            self._watch.saw(unpack_leader(changed.content).mark, self.clock_s())

    def _renew(self, tenure: Tenure) -> GroupSteps[float]:
        witnesses = yield from self._witnesses()
        sent_s = self.clock_s()
        try:
            change = renew(self.candidate, tenure.token, witnesses, self.now_ms())
            yield from self.registers.change(REGISTER, change, self.operation(), sticky=True)
        except LeadershipLost:
            self.tenure = None
            raise
        except AgreementError:
            if tenure.holds(self.clock_s()):
                return AGAIN_S
            raise
        tenure.renewed(sent_s)
        return max(0.0, RENEW_S - (self.clock_s() - sent_s))

    def _witnesses(self) -> GroupSteps[dict[str, int]]:
        """Return how often acceptors have written: one that shows less later on has forgotten."""
        configuration = yield from self.registers.chain.current()
        members = configuration.members
        told = yield from look(
            self.registers.prefix, [member.address for member in members], majority(len(members))
        )
        return {each.instance: each.count for each in told.values() if each.answers}

    def resign(self) -> GroupSteps[None]:
        """Let others lead at once, if this one leads.

        Raises:
            AgreementError: Too few acceptors answered; others lead when the lease has lapsed.
        """
        tenure, self.tenure = self.tenure, None
        if tenure is not None:
            yield from self.registers.change(
                REGISTER, resign(self.candidate, tenure.token, self.now_ms()), self.operation()
            )
