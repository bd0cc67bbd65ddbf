"""How much goes wrong in a run: drawn from its seed, so that the runs differ in kind and not only in luck."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

#: One run in so many has the scripts on simulated nodes in place of the model.
SCRIPTS_ONE_IN = 20


@dataclass(frozen=True, slots=True)
class Rates:
    """What a run is like.

    Attributes:
        acceptors: Of the first configuration.
        spare: Servers besides these.
        processes: Which change registers.
        registers: How many there are.
        changes: Of each process on each register.
        sticky: How often a process asks for its next promise with a change.
        scripts: Whether the real scripts run.
        founded: Whether the processes make the first configuration themselves, all at once.
        delay_s: The most that a message takes when nothing is wrong.
        lost: How often a message is.
        twice: How often a request is delivered once more, later.
        late: How often a message takes up to `late_s`.
        late_s: Longer than a round waits.
        faults: How many there are; each is one of those below, by weight.
        partition, crash, pause, restart, empty: Weights: of a process cut off from some servers; of a process that
            dies, or stops for a while; of a server started anew, with its disk as it promises; with an empty one.
        reconfigure, heal, drop: Weights: of an operator who goes over to other acceptors; admits what was started
            anew and replaces what is lost; removes what is left of the configuration before.
        forgetful: How many servers may be started anew with an older disk, as their settings say.
        long_s: How long there are faults.
    """

    acceptors: int
    spare: int
    processes: int
    registers: int
    changes: int
    sticky: float
    scripts: bool
    founded: bool
    delay_s: float
    lost: float
    twice: float
    late: float
    late_s: float
    faults: int
    partition: float
    crash: float
    pause: float
    restart: float
    empty: float
    reconfigure: float
    heal: float
    drop: float
    forgetful: int
    long_s: float


def draw(seed: int, random: Random) -> Rates:
    """Draw what a run is like: each kind of fault is missing in most runs and frequent in some."""
    chance = random.random

    def some(often: float, most: float) -> float:
        return chance() * most if chance() < often else 0.0

    five = chance() < 0.1
    moves = chance() < 0.4
    empty = some(0.35, 1.0)
    forgetful = random.randrange(1, 3) if chance() < 0.3 else 0
    return Rates(
        acceptors=5 if five else 3,
        spare=random.randrange(1, 3) if moves or empty or forgetful else 0,
        processes=2 if chance() < 0.7 else 3,
        registers=1 if chance() < 0.7 else 2,
        changes=random.randrange(2, 5),
        sticky=some(0.4, 1.0),
        scripts=seed % SCRIPTS_ONE_IN == SCRIPTS_ONE_IN - 1,
        founded=chance() < 0.05,
        delay_s=0.002 if chance() < 0.7 else 0.05,
        lost=some(0.6, 0.25),
        twice=some(0.3, 0.2),
        late=some(0.5, 0.2),
        late_s=random.choice((0.3, 1.0, 3.0)),
        faults=random.randrange(0, 8),
        partition=some(0.4, 1.0),
        crash=some(0.4, 1.0),
        pause=some(0.4, 1.0),
        restart=some(0.5, 1.0),
        empty=empty,
        reconfigure=chance() * 3 if moves else 0.0,
        heal=1.0 if empty or forgetful else 0.3,
        drop=some(0.3, 1.0) if moves else 0.0,
        forgetful=forgetful,
        long_s=random.choice((0.2, 0.5, 1.0, 2.0)),
    )
