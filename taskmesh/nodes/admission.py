"""Admitting acceptors that were started anew, by whoever meets one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from time import monotonic

from taskmesh.consensus.admission import Rules, Standing, admit, newest_of
from taskmesh.consensus.chain import Chain
from taskmesh.consensus.configuration import ROOT
from taskmesh.consensus.quorum import majority
from taskmesh.core.steps import GroupSteps
from taskmesh.errors import NoMajority

log = logging.getLogger("taskmesh")
#: How long what was found out is believed: many may meet the same acceptor at once.
BELIEVED_S = 0.3


class Admission:
    """What one process does about acceptors which do not answer yet."""

    def __init__(
        self,
        chain: Chain,
        rules: Rules,
        begin_anew: Callable[[Sequence[Standing]], GroupSteps[bool]],
        now_s: Callable[[], float] = monotonic,
    ) -> None:
        """Prepare.

        Args:
            chain: The configurations.
            rules: Who may be admitted.
            begin_anew: Makes a first configuration again where that is right, and tells whether it did.
            now_s: A clock that never goes back.
        """
        self._chain = chain
        self._rules = rules
        self._begin_anew = begin_anew
        self._now_s = now_s
        self._until_s = 0.0
        self._failure: NoMajority | None = None
        self._told: set[tuple[str, str]] = set()

    def __call__(self) -> GroupSteps[None]:
        """Admit who can be.

        Raises:
            NoMajority: Too few can, with what is known of each.
        """
        if self._now_s() < self._until_s:
            if self._failure is not None:
                raise NoMajority(str(self._failure), register=ROOT)
            return
        self._failure = None
        standings = yield from self.admit_all()
        if not is_majority(standings):
            if (yield from self._begin_anew(standings)):
                return
            self._failure = NoMajority(told_of(standings), register=ROOT)
        self._until_s = self._now_s() + BELIEVED_S
        if self._failure is not None:
            raise self._failure

    def admit_all(self) -> GroupSteps[list[Standing]]:
        """Admit who can be, and return how each stands."""
        chain = self._chain
        standings = yield from admit(chain.prefix, chain.places(), self._rules)
        for standing in standings:
            told = (standing.address, standing.why)
            if standing.why and standing.looked is not None and told not in self._told:
                self._told.add(told)
                log.warning(
                    "acceptor %s does not take part: %s; %s", standing.address, standing.why, standing.remedy
                )
        return standings


def is_majority(standings: Sequence[Standing]) -> bool:
    """Tell whether a majority of the members takes part."""
    newest = newest_of(standings)
    if newest is None:
        return False
    members = {member.instance for member in newest.members}
    there = {each.looked.instance for each in standings if each.takes_part and each.looked is not None}
    return len(members & there) >= majority(len(members))


def told_of(standings: Sequence[Standing]) -> str:
    """Say which acceptors do not take part, and why, and what can be done."""
    out = [standing for standing in standings if not standing.takes_part]
    each = "; ".join(f"{standing.address}: {standing.why}" for standing in out)
    there, needed = len(standings) - len(out), majority(len(standings))
    text = f"{there} of {len(standings)} acceptors take part, and {needed} must: {each}"
    if all(standing.looked is not None for standing in out):
        text += (
            ". If what was agreed upon may be lost in part, `taskmesh acceptors readmit --accept-loss` goes on with "
            "what there is"
        )
    else:
        text += ". Start the servers that do not answer; `taskmesh doctor` says how to go on without them"
    return text
