"""What callers, workers and leaders have in common: they speak with the mesh by the real protocols."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeVar

from taskmesh.core.steps import Pause, Session
from taskmesh.errors import NodeUnavailable
from taskmesh.testing.simulated_driver import BEGIN_MS
from tests.simulation.mesh.ledger import PREFIX
from tests.simulation.mesh.network import Process
from tests.simulation.mesh.speaking import Speaking

if TYPE_CHECKING:
    from tests.simulation.mesh.world import World

Steps = Generator[Any, Any, Any]
T = TypeVar("T")


class Party(ABC):
    """One process of the mesh.

    Attributes:
        world: Where.
        process: As the network knows it.
        session: As protocols know the mesh.
        speaking: How their calls find their nodes.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.process = Process(world.network, name, world.random.randint(-20, 20))
        self.session = Session(PREFIX, b"", world.rates.slots, self.now_ms)
        self.speaking = Speaking(world.first_view, self.session)

    @property
    def name(self) -> str:
        """Its name."""
        return self.process.name

    def now_ms(self) -> int:
        """Return the nodes' clock as this process believes it to be."""
        return BEGIN_MS + int(self.world.network.now_s * 1000) + self.process.skew_ms

    @abstractmethod
    def begin(self) -> None:
        """Begin to do what it is for."""

    def do(self, name: str, steps: Steps) -> None:
        """Begin something, beside whatever else this process does. Steps may say `talk` and `pause` only."""
        self.process.start(f"{self.name} {name}", steps, self.speaking.where)

    def talk(self, steps: Steps, node: str = "") -> Steps:
        """Do a protocol with the mesh, or with one node of it."""
        return self.speaking.spread(steps, node)

    def quietly(self, steps: Steps) -> Steps:
        """Do something that need not succeed."""
        try:
            return (yield from steps)
        except NodeUnavailable:
            return None

    def until_it_works(self, make: Any) -> Steps:
        """Do something until it succeeds."""
        while True:
            try:
                return (yield from make())
            except NodeUnavailable:
                yield Pause(0.1)
