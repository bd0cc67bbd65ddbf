"""The leader's look for sessions of processes that are no more: what they held is free, and their files vanish.

Each process that has a session looks for such as well; but where the last of them has died, nobody has one.
"""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING

from taskmesh.coordination.ending import Sweep
from taskmesh.coordination.means import Means
from taskmesh.nodes.lease_clock import lease_now_s

if TYPE_CHECKING:
    from taskmesh.nodes.agreement import Agreement

log = logging.getLogger("taskmesh.scheduler")
#: How often it looks.
SWEEP_S = 20.0


class Sweeping:
    """Looks now and then."""

    def __init__(self, agreement: Agreement) -> None:
        """Prepare; connects when it first looks.

        Args:
            agreement: The way to the registers.
        """
        self._agreement = agreement
        self._sweep = Sweep()
        self._again_s = 0.0

    def look(self) -> None:
        """Declare dead who has been silent for longer than its lease, unless that was looked for a moment ago.

        Raises:
            NodeUnavailable, AgreementError: It could not be found out now.
        """
        now_s = lease_now_s()
        if now_s < self._again_s:
            return
        agreement = self._agreement
        means = Means(agreement.registers, agreement.operation, lease_now_s, random.SystemRandom())
        # those of this process are renewed like any other
        dead = agreement.run(self._sweep.run(means, set()))
        self._again_s = now_s + SWEEP_S
        for session in dead:
            log.info("session %s was declared dead", session.hex())
