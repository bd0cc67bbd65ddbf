"""Those who lead, or believe so: they make copies level and change the view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskmesh.core.steps import Pause
from taskmesh.replication.level import level, mark_level
from tests.simulation.mesh.party import Party, Steps

if TYPE_CHECKING:
    from tests.simulation.mesh.world import World

LEVEL_S_MAX = 2.0


class Leader(Party):
    """One leader."""

    def __init__(self, world: World, number: int) -> None:
        super().__init__(world, f"leader{number}")

    def begin(self) -> None:
        """Begin to make copies level."""
        self.do("levels", self._keep_level())

    def _keep_level(self) -> Steps:
        random = self.world.random
        while not self.world.healed:
            yield Pause(random.random() * LEVEL_S_MAX)
            if not self.world.healed:
                yield from self._level(list(range(self.world.rates.slots)))

    def _level(self, slots: list[int]) -> Steps:
        """Make copies level, and have the nodes know if all are; tell whether that is so."""
        began_ms, view = self.now_ms(), self.speaking.standing.view
        found = yield from level(self.speaking.standing, slots)
        if found.missed or len(slots) < self.world.rates.slots:
            return False
        return (yield from mark_level(self.speaking.standing, view, began_ms))

    def settle(self) -> Steps:
        """Make all copies level, however often it takes."""
        while not (yield from self._level(list(range(self.world.rates.slots)))):
            yield Pause(0.2)
