"""Notices: what a client hears is the outcome that the record has at that moment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from taskmesh.core.state import FINAL, LETTER
from tests.simulation.ledger import Violation
from tests.simulation.records import parsed

if TYPE_CHECKING:
    from tests.simulation.world import World


class Notices:
    """Compares notices with records, in the very moment in which they are published."""

    def __init__(self, world: World) -> None:
        self.world = world

    def heard(self, payload: bytes, outcomes: Iterator[bytes]) -> None:
        """Check one publication."""
        for outcome in outcomes:
            letter, task_id = outcome.split(b"|")[:2]
            record = self.world.record(task_id)
            said = parsed(record) if record is not None else None
            if (
                said is None
                or said.state not in FINAL
                or LETTER[said.state] != letter
                or said.outcome != outcome
            ):
                raise Violation(f"a notice tells {outcome!r} of {task_id!r}; its record: {said}")
            self.world.ledger.saw(task_id, said.state.value, outcome)
