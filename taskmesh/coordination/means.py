"""What every conversation about locks and files needs of the process that has it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from taskmesh.consensus.registers import Chance, Operation, Registers
from taskmesh.core.steps import Pause, Reply, Round

T = TypeVar("T")


@dataclass(slots=True)
class Means:
    """What a process brings along.

    Attributes:
        registers: Of the mesh.
        operation: Returns a new wish to change something.
        now_s: A clock that never goes back and goes on while the machine sleeps: leases are measured by it.
        chance: Random numbers.
        generation: How often the embedded node had been started when that was last asked.
        is_embedded: Whether it counts that; a server of the user's own does not.
        last_token: The last that was drawn here.
        draws_alone: Whether nobody else drew one between that and the one before: then the next is drawn in one phase.
    """

    registers: Registers
    operation: Callable[[], Operation]
    now_s: Callable[[], float]
    chance: Chance
    generation: int = 0
    is_embedded: bool = False
    last_token: int = 0
    draws_alone: bool = False


@dataclass(frozen=True, slots=True)
class Nap:
    """Wait so long, or until somebody tells this request that it may be its turn."""

    seconds: float
    request: bytes


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell waiting requests, each with its session, that it may be their turn. It may get lost."""

    whom: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class AskGeneration:
    """Ask the embedded node how often it has been started; the reply is a list of that number."""


#: A conversation with acceptors in which somebody waits for others.
WaitingSteps: TypeAlias = Generator[Round | Pause | Nap | Tell | AskGeneration, Sequence[Reply], T]
