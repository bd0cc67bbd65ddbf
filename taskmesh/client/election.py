"""Elections: one of several processes leads, for whatever the user wants one of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskmesh.client.holding import AS_SAID, Holding
from taskmesh.coordination.acquire import look
from taskmesh.coordination.line import EXCLUSIVE, Line

if TYPE_CHECKING:
    from taskmesh.client.coordinator import Coordinator
    from taskmesh.config.arguments import Duration

#: A lease that is short enough for a quick change, and long enough for a busy machine.
TTL_S = 6.0


@dataclass(frozen=True, slots=True)
class Elected:
    """Who leads.

    Attributes:
        candidate: What it called itself: host and process, if nothing else.
        token: Greater than that of each who led before.
    """

    candidate: str
    token: int


class Election(Holding):
    """One of those who campaign leads; `TaskMesh.election` makes one."""

    def __init__(
        self,
        coordinator: Callable[[], Coordinator],
        name: str,
        *,
        ttl: Duration = TTL_S,
        candidate: str = "",
        lock_delay: Duration = 0.0,
    ) -> None:
        """Prepare; see `TaskMesh.election`."""
        super().__init__(
            coordinator,
            "election",
            name,
            ttl=ttl,
            wait=None,
            mode=EXCLUSIVE,
            limit=1,
            lock_delay=lock_delay,
            owner=candidate,
        )

    @property
    def is_leader(self) -> bool:
        """Whether this one leads, and may rely on it at this moment."""
        return self.is_held

    def campaign(self, wait: Duration | None = AS_SAID) -> bool:
        """Wait until this one leads; True if it does, at once if it did before.

        Args:
            wait: How many seconds to wait; for as long as it takes, if not given.

        Raises:
            AgreementError: No majority of the acceptors answers.
        """
        return self.is_leader or self.acquire(wait)

    async def acampaign(self, wait: Duration | None = AS_SAID) -> bool:
        """As `campaign`, in an event loop."""
        return self.is_leader or await self.aacquire(wait)

    def resign(self) -> bool:
        """Lead no more; the next one does at once. Returns whether this one led until now.

        Raises:
            LockError: It did not lead.
        """
        return self.release()

    async def aresign(self) -> bool:
        """As `resign`, in an event loop."""
        return await self.arelease()

    def leader(self) -> Elected | None:
        """Return who leads, as was agreed when this was asked; None if nobody does.

        It may have been lost a moment ago, and nobody has noticed yet.

        Raises:
            NoMajority: Too few acceptors answered.
        """
        coordinator = self._coordinator()
        lines = coordinator.conversing.run(look(coordinator.means, [self._register]))
        return _elected(lines[self._register])

    async def aleader(self) -> Elected | None:
        """As `leader`, in an event loop."""
        coordinator = self._coordinator()
        means = await coordinator.open_async()
        lines = await coordinator.conversing.run_async(look(means, [self._register]))
        return _elected(lines[self._register])


def _elected(line: Line) -> Elected | None:
    return next((Elected(entry.owner, entry.token) for entry in line.holders if not entry.is_lost), None)
