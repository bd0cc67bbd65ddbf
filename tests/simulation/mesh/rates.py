"""How much goes wrong in a run of the mesh: drawn from its seed; runs differ in kind, not only in luck."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Rates:
    """What a run is like.

    Attributes:
        nodes: Servers of the first view.
        replicas: Copies of each message; half of them and one more is what counts.
        slots: How many the mesh has.
        callers, workers: How many processes of each kind.
        messages: How many are sent, by all callers together.
        reads, revokes: How often a caller reads, and revokes, per second.
        delayed: Share of the messages that are due later.
        fails, retries: Share of the messages that fail; that are tried once more.
        by_value: Share of the messages that need a function which is sent along.
        keyed: Share of the messages that have a unique key, or one of a sequence.
        slow: Share of the messages whose run takes longer than a worker waits for an answer.
        delay_s: The most that a message of the network takes when nothing is wrong.
        lost: How often a request or an answer is.
        twice: How often a request is delivered once more, later.
        late: How often one takes up to `late_s`.
        late_s: Longer than a round waits.
        faults: How many there are; each is one of those below, by weight.
        partition: Weight: of a process cut off from some servers, one way or both.
        crash: Weight: of a process that dies.
        pause: Weight: of a process that stops for a while.
        stop: Weight: of a server that stops for a while.
        suspect: Weight: of a worker declared dead, whether it is or not.
        full: Weight: of a server whose memory is full for a while.
        restart: Weight: of a server started anew with its disk as it was.
        older: Weight: of one that comes back with an older disk.
        empty: Weight: of one that comes back with an empty disk.
        change: Weight: of a change of the view without need.
        leaders: How many processes may lead; more than one may believe so.
        long_s: How long there are faults.
        piece_bytes: How much of records one step bears: with few bytes nearly every copy is brought in pieces; 0 for
            as much as always, which is more than there is.
    """

    nodes: int
    replicas: int
    slots: int
    callers: int
    workers: int
    messages: int
    reads: float
    revokes: float
    delayed: float
    fails: float
    retries: float
    by_value: float
    keyed: float
    slow: float
    delay_s: float
    lost: float
    twice: float
    late: float
    late_s: float
    faults: int
    partition: float
    crash: float
    pause: float
    stop: float
    suspect: float
    full: float
    restart: float
    older: float
    empty: float
    change: float
    leaders: int
    long_s: float
    piece_bytes: int

    @property
    def needed(self) -> int:
        """How many copies make a change count."""
        return self.replicas // 2 + 1


def draw(random: Random) -> Rates:
    """Draw what a run is like: each kind of fault is missing in most runs and frequent in some."""
    chance = random.random

    def some(often: float, most: float) -> float:
        return chance() * most if chance() < often else 0.0

    replicas = random.choices((1, 2, 3), (1, 2, 9))[0]
    moves = chance() < 0.5
    # drawn apart, so that nothing else of a run depends on whether it is
    beside = Random()
    beside.setstate(random.getstate())
    return Rates(
        nodes=max(replicas, random.choices((1, 3, 4, 5), (1, 6, 3, 2))[0]),
        replicas=replicas,
        slots=random.choice((2, 4, 8)),
        callers=2,
        workers=random.choice((1, 2, 2, 3)),
        messages=random.randrange(1, 6),
        reads=some(0.7, 4.0),
        revokes=some(0.3, 1.0),
        delayed=some(0.3, 0.6),
        fails=some(0.3, 0.5),
        retries=some(0.3, 0.5),
        by_value=some(0.2, 1.0),
        keyed=some(0.3, 1.0),
        slow=some(0.3, 0.7),
        delay_s=0.002 if chance() < 0.7 else 0.05,
        lost=some(0.6, 0.2),
        twice=some(0.3, 0.2),
        late=some(0.5, 0.2),
        late_s=random.choice((0.5, 1.0, 3.0)),
        faults=random.randrange(0, 7),
        partition=some(0.4, 1.0),
        crash=some(0.4, 1.0),
        pause=some(0.4, 1.0),
        stop=some(0.4, 1.0),
        suspect=some(0.5, 1.0),
        full=some(0.1, 1.0),
        restart=some(0.5, 1.0) if moves else 0.0,
        older=some(0.3, 1.0) if moves else 0.0,
        empty=some(0.4, 1.0) if moves else 0.0,
        change=some(0.6, 1.0) if moves else 0.0,
        leaders=random.choice((1, 2, 2)),
        long_s=random.choice((0.5, 1.0, 2.0)),
        piece_bytes=beside.choice((40, 100, 180)) if beside.random() < 0.25 else 0,
    )
