"""What happens in a history, and how often: drawn from the seed, so that each run is wild in another way.

A history is a kind of trouble. Within it each seed switches some faults off and draws the rates of the others over
two orders of magnitude ("swarm"): a fault that is always on hides those that need quiet between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from taskmesh.balancing.named import BUILT_IN
from taskmesh.core.rate import Rate
from taskmesh.testing.simulated_network import NetworkFaults


@dataclass(slots=True)
class Rates:
    """One run's trouble. Rates are per second of virtual time.

    Attributes:
        fault_s: How long the trouble lasts, before everything is healed.
        workers: Supervisors.
        children: Children of each.
        messages: How many are sent, in all.
        concurrent: Share of children that run many messages at once.
        most_max: Most messages in one claim.
        lost_patience: How long clients go on trying to send.
        kinds: Weights of what messages do, see `plan.py`.
        delayed: Share of messages with a due time.
        expiring: Share of messages that must begin in time.
        queues: How many queues there are.
        strategy: By which children choose from which queue to take next; empty keeps the order of the queues.
        limits: How often limited tasks may start, by name.
        limited: Share of messages that are of one of them.
        keyed: Share of messages with keys.
        once: Share of messages that may begin only once.
        tickets: Share of workers that hear of work by tickets.
        crowd: In which part of the trouble all messages are sent; less makes longer lines.
        slow: Share of messages that take long enough to be recalled behind.
        slow_s_max: How long such a message takes at most.
        network: Faults of the network.
        kill_child, kill_worker, pause, restart, full, revoke, forget, pause_queue: Rates of events.
        terminate: Share of revokes that end what runs.
        pause_s_max: How long a process is stopped at most.
        roll_back: Share of restarts at which the node comes back with an older disk.
        reads: How often a client reads outcomes.
    """

    fault_s: float = 8.0
    workers: int = 2
    children: int = 2
    concurrent: float = 0.0
    messages: int = 24
    most_max: int = 6
    queues: int = 1
    strategy: str = ""
    limits: dict[str, Rate] = field(default_factory=dict)
    limited: float = 0.0
    keyed: float = 0.0
    once: float = 0.0
    tickets: float = 0.0
    crowd: float = 1.0
    slow: float = 0.1
    slow_s_max: float = 1.2
    delayed: float = 0.0
    expiring: float = 0.0
    kinds: dict[str, float] = field(default_factory=lambda: {"ok": 1.0})
    network: NetworkFaults = field(default_factory=NetworkFaults)
    kill_child: float = 0.0
    kill_worker: float = 0.0
    pause: float = 0.0
    pause_s_max: float = 4.0
    restart: float = 0.0
    roll_back: float = 0.0
    full: float = 0.0
    revoke: float = 0.0
    terminate: float = 0.0
    forget: float = 0.0
    pause_queue: float = 0.0
    reads: float = 1.0


def _sometimes(random: Random, low: float, high: float, odds: float = 0.7) -> float:
    """Draw a rate between two, evenly over the orders of magnitude; 0 in the other cases."""
    drawn: float = low * (high / low) ** random.random()
    return drawn if random.random() < odds else 0.0


def _base(random: Random) -> Rates:
    rates = Rates(
        fault_s=random.uniform(4.0, 9.0),
        workers=random.randint(1, 3),
        children=random.randint(1, 2),
        messages=random.randint(8, 30),
        most_max=random.choice([1, 2, 5, 12]),
        queues=random.choice([1, 1, 2]),
        crowd=random.choice([0.1, 0.5, 1.2]),
        slow=random.choice([0.0, 0.1, 0.4]),
        delayed=random.choice([0.0, 0.0, 0.2]),
        expiring=random.choice([0.0, 0.0, 0.3]),
    )
    rates.kinds = {"ok": 1.0, "fail": random.choice([0.0, 0.2])}
    rates.network.delay_s_max = random.choice([0.0005, 0.002, 0.02])
    rates.network.interleaved = random.choice([0.0, 0.1, 0.5])
    return rates


def _lossy(rates: Rates, random: Random) -> None:
    network = rates.network
    network.lost_request = _sometimes(random, 0.01, 0.15)
    network.lost_replies = _sometimes(random, 0.01, 0.2)
    network.late = _sometimes(random, 0.01, 0.1)
    network.late_s_max = random.choice([0.5, 3.0, 10.0])
    network.refused = _sometimes(random, 0.01, 0.1, odds=0.4)


def lost_replies(random: Random) -> Rates:
    """Requests and replies are lost, late and overtaken; nothing else goes wrong."""
    rates = _base(random)
    _lossy(rates, random)
    return rates


def crashes(random: Random) -> Rates:
    """Children and whole workers die, some of them by what they run; some messages kill whoever runs them."""
    rates = _base(random)
    rates.kinds |= {"poison": random.choice([0.0, 0.1, 0.3]), "poison-once": random.choice([0.0, 0.1, 0.3])}
    rates.kill_child = _sometimes(random, 0.1, 2.0)
    # seldom several at once: then nobody is blamed
    rates.kill_worker = _sometimes(random, 0.1, 0.5, odds=0.9)
    rates.workers = random.randint(2, 3)
    rates.most_max = random.choice([3, 6, 12])
    rates.messages = random.randint(20, 44)
    rates.crowd = random.choice([0.1, 0.3])
    rates.fault_s = random.uniform(2.0, 6.0)
    rates.slow = random.choice([0.0, 0.1])
    rates.network.late = _sometimes(random, 0.01, 0.1, odds=0.5)
    rates.network.late_s_max = 2.0
    return rates


def lost_leases(random: Random) -> Rates:
    """Processes stop for longer than their lease and come back; others have taken over."""
    rates = _base(random)
    rates.workers = random.randint(2, 3)
    rates.pause = _sometimes(random, 0.5, 2.0, odds=1.0)
    rates.pause_s_max = 8.0
    rates.slow = random.choice([0.3, 0.6])
    rates.slow_s_max = random.choice([2.0, 6.0])
    rates.messages = random.randint(16, 36)
    rates.crowd = random.choice([0.1, 0.5])
    rates.fault_s = random.uniform(7.0, 12.0)
    rates.kill_worker = _sometimes(random, 0.05, 0.3, odds=0.4)
    if random.random() < 0.5:
        _lossy(rates, random)
    return rates


def recalls(random: Random) -> Rates:
    """Slow messages in large claims: what waits behind them is taken back."""
    rates = _base(random)
    rates.most_max = random.choice([4, 12])
    rates.slow = random.choice([0.2, 0.5])
    rates.messages = random.randint(20, 40)
    rates.kill_child = _sometimes(random, 0.1, 0.5, odds=0.3)
    if random.random() < 0.7:
        _lossy(rates, random)
    return rates


def older_disks(random: Random) -> Rates:
    """The node restarts, with its disk as it was or with an older one."""
    rates = _base(random)
    rates.restart = _sometimes(random, 0.2, 1.0, odds=1.0)
    rates.roll_back = random.choice([0.0, 0.7, 1.0])
    rates.slow = random.choice([0.1, 0.5])
    rates.slow_s_max = random.choice([1.2, 4.0])
    rates.kill_child = _sometimes(random, 0.1, 0.5, odds=0.3)
    if random.random() < 0.5:
        _lossy(rates, random)
    return rates


def revoked(random: Random) -> Rates:
    """Messages are revoked while they wait, run, are parked or are over; outcomes are forgotten."""
    rates = _base(random)
    rates.revoke = _sometimes(random, 1.0, 6.0, odds=1.0)
    rates.terminate = random.choice([0.0, 0.5])
    rates.forget = _sometimes(random, 0.5, 3.0, odds=0.5)
    rates.delayed = random.choice([0.0, 0.3])
    rates.kinds |= {"unknown": random.choice([0.0, 0.3]), "value": random.choice([0.0, 0.3])}
    rates.kill_child = _sometimes(random, 0.1, 0.5, odds=0.3)
    if random.random() < 0.4:
        _lossy(rates, random)
    return rates


def ended_runs(random: Random) -> Rates:
    """What runs is ended: beyond its hard limit, or revoked with terminate; children and workers die meanwhile."""
    rates = _base(random)
    rates.kinds |= {"overdue": random.choice([0.0, 0.3, 1.0]), "endless": random.choice([0.0, 0.1])}
    rates.revoke = _sometimes(random, 1.0, 6.0)
    rates.terminate = random.choice([0.3, 1.0])
    rates.most_max = random.choice([1, 4, 12])
    rates.slow = random.choice([0.2, 0.6])
    rates.kill_child = _sometimes(random, 0.1, 1.0, odds=0.3)
    rates.kill_worker = _sometimes(random, 0.05, 0.3, odds=0.3)
    rates.restart = _sometimes(random, 0.1, 0.3, odds=0.2)
    rates.roll_back = 0.5
    if random.random() < 0.5:
        _lossy(rates, random)
    return rates


def parked(random: Random) -> Rates:
    """Messages that this build does not know wait for one that does, or for the end of their grace."""
    rates = _base(random)
    rates.kinds |= {"unknown": random.choice([0.4, 1.0])}
    rates.workers = random.randint(2, 3)
    rates.most_max = random.choice([2, 5, 12])
    rates.slow = random.choice([0.2, 0.5])
    rates.slow_s_max = random.choice([1.2, 5.0])
    rates.kill_worker = _sometimes(random, 0.2, 1.0, odds=0.9)
    rates.kill_child = _sometimes(random, 0.3, 2.0)
    if random.random() < 0.5:
        _lossy(rates, random)
    return rates


def functions(random: Random) -> Rates:
    """Functions sent by value: on the node as long as a message refers to them, and no longer."""
    rates = _base(random)
    rates.kinds |= {"value": 1.5, "value-fail": random.choice([0.0, 0.5]), "fail": 0.2}
    rates.forget = _sometimes(random, 0.5, 3.0, odds=0.5)
    rates.revoke = _sometimes(random, 0.5, 2.0, odds=0.5)
    rates.kill_child = _sometimes(random, 0.1, 0.5, odds=0.3)
    rates.restart = _sometimes(random, 0.1, 0.3, odds=0.2)
    rates.roll_back = 0.5
    if random.random() < 0.5:
        _lossy(rates, random)
    return rates


def retries(random: Random) -> Rates:
    """Messages are tried again, put off and put back; meanwhile some are revoked, expire, or lose their child."""
    rates = _base(random)
    rates.kinds |= {
        "ok": 0.3,
        "retry": 1.0,
        "change": random.choice([0.0, 0.7]),
        "snooze": random.choice([0.0, 0.5]),
        "requeue": random.choice([0.0, 0.5]),
        "poison-once": random.choice([0.0, 0.1]),
        "unknown": random.choice([0.0, 0.2]),
    }
    rates.revoke = _sometimes(random, 0.2, 3.0, odds=0.5)
    rates.kill_child = _sometimes(random, 0.1, 1.0, odds=0.5)
    rates.kill_worker = _sometimes(random, 0.05, 0.3, odds=0.3)
    rates.pause = _sometimes(random, 0.05, 0.5, odds=0.3)
    rates.restart = _sometimes(random, 0.1, 0.3, odds=0.3)
    rates.roll_back = random.choice([0.0, 0.7])
    if random.random() < 0.5:
        _lossy(rates, random)
    return rates


def full_memory(random: Random) -> Rates:
    """The node's memory is full for a while: sends are refused, what was accepted goes on."""
    rates = _base(random)
    rates.full = _sometimes(random, 0.2, 1.0, odds=1.0)
    rates.kinds |= {"value": random.choice([0.0, 0.5])}
    if random.random() < 0.5:
        _lossy(rates, random)
    return rates


def paused_queues(random: Random) -> Rates:
    """Queues are paused and go on again, while messages are sent and workers come and go."""
    rates = _base(random)
    rates.pause_queue = _sometimes(random, 1.0, 6.0, odds=1.0)
    rates.queues = random.choice([1, 2, 2])
    rates.delayed = random.choice([0.0, 0.3])
    rates.kill_child = _sometimes(random, 0.1, 0.5, odds=0.3)
    rates.kill_worker = _sometimes(random, 0.1, 0.3, odds=0.3)
    if random.random() < 0.5:
        _lossy(rates, random)
    return rates


def side_by_side(random: Random) -> Rates:
    """Children run many messages at once; some kill them in company, and disks grow older meanwhile."""
    rates = _base(random)
    rates.kinds |= {"overdue": random.choice([0.0, 0.2])}
    rates.concurrent = random.choice([0.5, 1.0])
    rates.queues = random.choice([1, 2, 4])
    rates.once = random.choice([0.0, 0.2])
    rates.slow = random.choice([0.2, 0.6])
    rates.slow_s_max = random.choice([0.3, 3.0])
    rates.messages = random.randint(20, 40)
    rates.kinds |= {"poison": random.choice([0.0, 0.05, 0.2]), "poison-once": random.choice([0.0, 0.1])}
    rates.kill_child = _sometimes(random, 0.1, 1.0, odds=0.4)
    rates.kill_worker = _sometimes(random, 0.1, 0.3, odds=0.3)
    rates.pause = _sometimes(random, 0.1, 0.5, odds=0.3)
    rates.restart = _sometimes(random, 0.1, 0.5, odds=0.4)
    rates.roll_back = random.choice([0.0, 0.7])
    if random.random() < 0.5:
        _lossy(rates, random)
    return rates


def tickets(random: Random) -> Rates:
    """Workers hear of work by tickets, which come early, late, twice and for nothing; others are woken by the node."""
    rates = _base(random)
    rates.tickets = random.choice([0.5, 1.0])
    rates.concurrent = random.choice([0.0, 0.5])
    rates.queues = random.choice([1, 2, 4])
    rates.once = random.choice([0.0, 0.2])
    rates.keyed = random.choice([0.0, 0.3])
    rates.kinds |= {"poison": random.choice([0.0, 0.1]), "retry": random.choice([0.0, 0.2])}
    rates.kill_child = _sometimes(random, 0.1, 1.0, odds=0.5)
    rates.kill_worker = _sometimes(random, 0.1, 0.3, odds=0.3)
    rates.pause = _sometimes(random, 0.1, 0.5, odds=0.3)
    rates.pause_queue = _sometimes(random, 0.1, 2.0, odds=0.3)
    rates.restart = _sometimes(random, 0.1, 0.5, odds=0.3)
    rates.roll_back = random.choice([0.0, 0.7])
    if random.random() < 0.5:
        _lossy(rates, random)
    return rates


def shared_out(random: Random) -> Rates:
    """Long lines in several queues, which children choose by a strategy; some are paused for a while."""
    rates = _base(random)
    rates.strategy = random.choice(sorted(BUILT_IN))
    rates.queues = random.choice([2, 3, 4])
    rates.workers = random.randint(1, 2)
    rates.most_max = random.choice([1, 2, 3])
    rates.messages = random.randint(24, 60)
    rates.crowd = random.choice([0.1, 0.3, 0.8])
    rates.slow = random.choice([0.2, 0.6])
    rates.slow_s_max = random.choice([0.3, 1.0])
    rates.concurrent = random.choice([0.0, 0.0, 0.5])
    rates.kinds |= {"requeue": random.choice([0.0, 0.2]), "poison-once": random.choice([0.0, 0.1])}
    rates.pause_queue = _sometimes(random, 0.5, 4.0, odds=0.5)
    rates.kill_child = _sometimes(random, 0.1, 0.5, odds=0.3)
    rates.restart = _sometimes(random, 0.1, 0.3, odds=0.2)
    rates.roll_back = 0.5
    if random.random() < 0.4:
        _lossy(rates, random)
    return rates


def limited(random: Random) -> Rates:
    """Tasks with a limit for how often they may start; meanwhile queues are paused, and messages revoked."""
    rates = _base(random)
    names = ["some", "others"][: random.choice([1, 2])]
    rates.limits = {name: Rate(random.choice([2, 3, 5, 10]), 1.0) for name in names}
    rates.limited = random.choice([0.5, 1.0])
    rates.messages = random.randint(20, 44)
    rates.crowd = random.choice([0.1, 0.5])
    rates.slow = 0.0
    rates.queues = random.choice([1, 1, 3])
    rates.strategy = random.choice(["", "round-robin", "weighted"])
    rates.concurrent = random.choice([0.0, 0.0, 0.5])
    rates.once = random.choice([0.0, 0.3])
    rates.kinds |= {"retry": random.choice([0.0, 0.3]), "requeue": random.choice([0.0, 0.2])}
    rates.pause_queue = _sometimes(random, 0.3, 2.0, odds=0.4)
    rates.revoke = _sometimes(random, 0.2, 3.0, odds=0.4)
    rates.kill_child = _sometimes(random, 0.1, 1.0, odds=0.3)
    rates.kill_worker = _sometimes(random, 0.1, 0.3, odds=0.3)
    rates.pause = _sometimes(random, 0.1, 0.5, odds=0.3)
    rates.restart = _sometimes(random, 0.1, 0.3, odds=0.3)
    rates.roll_back = random.choice([0.0, 0.7])
    if random.random() < 0.5:
        _lossy(rates, random)
    return rates


def keyed(random: Random) -> Rates:
    """Most messages have keys: they are turned away, or wait for their turn."""
    rates = _base(random)
    rates.keyed = random.choice([0.5, 0.9])
    rates.messages = random.randint(20, 44)
    rates.crowd = random.choice([0.1, 0.5, 1.0])
    rates.slow = random.choice([0.1, 0.4])
    rates.kinds |= {"poison-once": random.choice([0.0, 0.2]), "unknown": random.choice([0.0, 0.2])}
    rates.kinds |= {"retry": random.choice([0.0, 0.3]), "requeue": random.choice([0.0, 0.2])}
    rates.revoke = _sometimes(random, 0.5, 4.0, odds=0.5)
    rates.forget = _sometimes(random, 0.5, 3.0, odds=0.3)
    rates.kill_child = _sometimes(random, 0.1, 1.0, odds=0.5)
    rates.kill_worker = _sometimes(random, 0.1, 0.3, odds=0.3)
    rates.restart = _sometimes(random, 0.1, 0.4, odds=0.2)
    rates.roll_back = 0.7
    if random.random() < 0.5:
        _lossy(rates, random)
    return rates


def at_most_once(random: Random) -> Rates:
    """Messages that may begin only once, among workers that die or stop and come back."""
    rates = crashes(random)
    rates.once = random.choice([0.3, 1.0])
    rates.slow = random.choice([0.1, 0.4])
    rates.pause = _sometimes(random, 0.2, 1.0, odds=0.5)
    rates.pause_s_max = 6.0
    rates.revoke = _sometimes(random, 0.5, 2.0, odds=0.3)
    if random.random() < 0.5:
        _lossy(rates, random)
    return rates


def everything(random: Random) -> Rates:
    """All of it at once."""
    rates = _base(random)
    _lossy(rates, random)
    rates.kinds |= {
        "poison": random.choice([0.0, 0.1]),
        "poison-once": random.choice([0.0, 0.1]),
        "unknown": random.choice([0.0, 0.2]),
        "value": random.choice([0.0, 0.3]),
        "value-fail": random.choice([0.0, 0.1]),
        "retry": random.choice([0.0, 0.2]),
        "snooze": random.choice([0.0, 0.1]),
        "overdue": random.choice([0.0, 0.1]),
    }
    rates.kill_child = _sometimes(random, 0.05, 1.0)
    rates.kill_worker = _sometimes(random, 0.02, 0.4)
    rates.pause = _sometimes(random, 0.05, 0.5)
    rates.restart = _sometimes(random, 0.05, 0.4)
    rates.roll_back = random.choice([0.0, 0.5, 1.0])
    rates.full = _sometimes(random, 0.05, 0.5, odds=0.4)
    rates.revoke = _sometimes(random, 0.2, 3.0)
    rates.terminate = random.choice([0.0, 0.5])
    rates.forget = _sometimes(random, 0.1, 1.0, odds=0.3)
    rates.pause_queue = _sometimes(random, 0.1, 2.0, odds=0.3)
    rates.keyed = random.choice([0.0, 0.3])
    rates.once = random.choice([0.0, 0.3])
    rates.strategy = random.choice(["", *sorted(BUILT_IN)])
    rates.limits = {"some": Rate(random.choice([5, 20]), 1.0)}
    rates.limited = random.choice([0.0, 0.3])
    return rates


#: Every history by name. A name is what `-k` selects.
HISTORIES: dict[str, Callable[[Random], Rates]] = {
    history.__name__: history
    for history in (
        lost_replies,
        crashes,
        lost_leases,
        recalls,
        older_disks,
        revoked,
        ended_runs,
        parked,
        functions,
        retries,
        full_memory,
        paused_queues,
        shared_out,
        limited,
        keyed,
        at_most_once,
        side_by_side,
        tickets,
        everything,
    )
}
