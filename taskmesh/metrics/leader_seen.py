"""Whether a mesh has a leader, as one process sees it that looks now and then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from taskmesh.coordination.leader import CHALLENGE_S, REGISTER, Leader, Mark, unpack_leader
from taskmesh.coordination.leading import FRESH_MS
from taskmesh.metrics.exposition import Samples

if TYPE_CHECKING:
    from taskmesh.nodes.agreement import Agreement


#: What the register calls a handover to somebody.
ELECTED = "elected"


class LeaderSeen:
    """What was seen of the leader so far."""

    def __init__(self) -> None:
        """Begin; nothing was seen."""
        self._mark: Mark | None = None
        self._moved_s = 0.0
        self._token = 0
        self._changes = 0

    def look(self, agreement: Agreement, found: Samples) -> None:
        """Read the register, and add what it tells to samples.

        Raises:
            AgreementError, NodeUnavailable: It cannot be read now.
        """
        leader = unpack_leader(agreement.run(agreement.registers.read(REGISTER)).content)
        self.see(leader, now_s=time.monotonic(), now_ms=int(time.time() * 1000))
        found.put("taskmesh_leader_up", int(self.is_up(leader, now_s=time.monotonic())))
        found.put("taskmesh_leader_changes_total", self._changes)

    def see(self, leader: Leader, *, now_s: float, now_ms: int) -> None:
        """Take in what the register says.

        Args:
            leader: That.
            now_s: On the monotonic clock.
            now_ms: Unix time.
        """
        if self._mark is not None and leader.token > self._token:
            self._changes += (
                sum(change.token > self._token for change in leader.changes if change.what == ELECTED) or 1
            )
        if leader.mark != self._mark:
            # renewed since the last look; at the first one, if the clocks of both agree about that
            is_fresh = self._mark is not None or 0 <= now_ms - leader.renewed_ms <= FRESH_MS
            self._moved_s = now_s if is_fresh else now_s - CHALLENGE_S
        self._mark, self._token = leader.mark, max(self._token, leader.token)

    @property
    def changes(self) -> int:
        """How many handovers were seen."""
        return self._changes

    def is_up(self, leader: Leader, *, now_s: float) -> bool:
        """Tell whether somebody holds the lead and has renewed it within a lease, as far as was seen."""
        return bool(leader.holder) and now_s - self._moved_s < CHALLENGE_S
