"""One size of mesh: what each part of it has to do, and which part is at its end first."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from benchmarks.capacity import costs as known
from benchmarks.capacity.costs import Costs
from benchmarks.capacity.fail_over import FailOver, fail_over
from taskmesh.coordination.candidacy import LOOK_BACK_S, LOOK_S
from taskmesh.coordination.candidates import STAND_BACK_S, TELL_S
from taskmesh.queue.workers import WATCHED
from taskmesh.ring import RingNode, propose
from taskmesh.ring.table import Table, copies, moved, primaries

#: From which nodes the children of a worker claim: from all of them, or from some.
EVERY, SOME = "all", "some"


@dataclass(frozen=True, slots=True)
class Size:
    """A mesh that is reckoned.

    Attributes:
        nodes: That keep messages.
        workers: Processes that run tasks; each has some children.
        to: `all`: a worker's children keep connections to every node; `some`: to a few.
        beats_at_few: Its supervisor beats on those few only, which the code does not do yet: it does on every node.
    """

    nodes: int
    workers: int
    to: str = EVERY
    beats_at_few: bool = False

    @property
    def slots(self) -> int:
        """The fewest that give each node some 60, for a table that is even."""
        return next((slots for slots in (1024, 4096, 16_384) if slots >= 60 * self.nodes), 65_536)


@dataclass(frozen=True, slots=True)
class Placed:
    """What the ring says of a mesh: a table, and how much moves."""

    copies_most: int
    leads_most: int
    joined: int
    lost: int


@dataclass(frozen=True, slots=True)
class Reckoned:
    """A size, and what it comes to; of nodes always the one that has most.

    Attributes:
        workers_most: Workers whose children claim at one node.
        connections: Of workers to one node.
        beats_per_s: At one node.
        beats_cpu: What these take of its core.
        beats_bytes_per_s: What it answers them.
        candidates_cpu: What workers, each of whom may come to lead, take of the core of a node that is an acceptor.
        candidates_cpu_all: The same, if all stood by.
        connection_mib: Memory for connections.
        placed: Of slots.
        view_bytes: Of the view.
        spread_view_s: Until each node and each worker has a new one.
        move_join_s: Until a node that joins has its copies, at a bounded bandwidth.
        move_loss_s: Until all slots of a lost node have three copies again: every other node takes some.
        fail_over: From the death of a node until its slots go on.
        leader_looks: What looking at the nodes takes of the leader's time.
        leader_fires: Firings, as a share of what one leader is known to manage.
        tasks_per_s: What the nodes' cores would bear beside the beats.
        uses: Of each part, by name: how much of it is used, 1 for its end.
    """

    size: Size
    workers_most: int
    connections: int
    beats_per_s: float
    beats_cpu: float
    beats_bytes_per_s: float
    candidates_cpu: float
    candidates_cpu_all: float
    connection_mib: float
    placed: Placed
    view_bytes: int
    spread_view_s: float
    move_join_s: float
    move_loss_s: float
    fail_over: FailOver
    leader_looks: float
    leader_fires: float
    tasks_per_s: float
    uses: dict[str, float]

    @property
    def bottleneck(self) -> str:
        """The part that is at its end first."""
        return max(self.uses, key=lambda part: self.uses[part])


def place(size: Size) -> Placed:
    """Make the table of a mesh, and see what a join and a loss move."""
    nodes = [RingNode(f"n{at}") for at in range(1, size.nodes + 1)]
    table: Table = propose(size.slots, nodes, known.REPLICAS)
    joined = moved(table, propose(size.slots, [*nodes, RingNode("new")], known.REPLICAS, table))
    lost = 0
    if size.nodes > known.REPLICAS:
        lost = moved(table, propose(size.slots, nodes[1:], known.REPLICAS, table))
    return Placed(max(copies(table).values()), max(primaries(table).values()), joined, lost)


def reckon(size: Size, costs: Costs, placed: Placed, seed: int) -> Reckoned:
    """Return what a size comes to.

    Args:
        size: Which.
        costs: Of single operations.
        placed: Its slots.
        seed: Of what is left to chance: which nodes a worker keeps to, and when a node dies.
    """
    random = Random(f"{seed} {size.nodes} {size.workers} {size.to}")
    at_node = _workers_at(size, random)
    beating = at_node if size.beats_at_few else size.workers
    beats_per_s = beating / known.BEAT_S
    read = min(beating, WATCHED)
    beats_cpu = beats_per_s * (costs.beat_us + read * costs.beat_per_worker_us) / 1e6
    beats_bytes = beats_per_s * read * costs.beat_per_worker_bytes
    telling_cpu, candidates_cpu = _candidates_cpu(size, costs, min(size.workers, known.STANDING))
    connections = at_node * known.CONNECTIONS_OF_CHILDREN + beating * known.CONNECTIONS_OF_SUPERVISOR
    connection_bytes = connections * costs.connection_bytes
    view_bytes = _view_bytes(size)
    spread_s = _spread_s(size, costs, view_bytes, at_node)
    slot_bytes = (
        known.MESSAGES_PER_NODE * size.nodes / size.slots * (costs.message_bytes + known.PAYLOAD_BYTES)
    )
    looks = size.nodes * costs.call_s / known.LOOK_S
    fires = size.workers * known.SCHEDULES_PER_WORKER / known.SCHEDULE_S / costs.firings_per_s
    over = fail_over(size.nodes, size.slots, placed.leads_most, placed.copies_most, costs, spread_s, random)
    # a primary sends, claims and commits; of each of the three changes two others keep a copy
    message_us = costs.send_us + costs.run_us + 3 * (known.REPLICAS - 1) * costs.send_us
    free = max(0.0, known.CPU_SHARE_MAX - beats_cpu - telling_cpu)
    return Reckoned(
        size=size,
        workers_most=at_node,
        connections=connections,
        beats_per_s=beats_per_s,
        beats_cpu=beats_cpu,
        beats_bytes_per_s=beats_bytes,
        candidates_cpu=candidates_cpu,
        candidates_cpu_all=_candidates_cpu(size, costs, size.workers)[1],
        connection_mib=connection_bytes / 2**20,
        placed=placed,
        view_bytes=view_bytes,
        spread_view_s=spread_s,
        move_join_s=placed.joined * slot_bytes / known.COPY_BYTES_PER_S,
        move_loss_s=placed.lost * slot_bytes / known.COPY_BYTES_PER_S / max(1, size.nodes - 1),
        fail_over=over,
        leader_looks=looks,
        leader_fires=fires,
        tasks_per_s=size.nodes * free * 1e6 / message_us,
        uses={
            "a node's core, by beats": beats_cpu / known.CPU_SHARE_MAX,
            "an acceptor's core, by candidates": candidates_cpu / known.CPU_SHARE_MAX,
            "a node's network, by beats": beats_bytes / known.NETWORK_BYTES_PER_S,
            "a node's connections": connections / known.CONNECTIONS_MAX,
            "the leader's looks": looks,
            "the leader's firings": fires,
            "the fail-over's 5 s": over.worst_s / 5.0,
        },
    )


def _workers_at(size: Size, random: Random) -> int:
    """Return how many workers claim from the node that has most of them."""
    if size.to == EVERY or size.nodes <= known.NODES_PER_WORKER:
        return size.workers
    counts = [0] * size.nodes
    nodes = range(size.nodes)
    for _ in range(size.workers):
        for node in random.sample(nodes, known.NODES_PER_WORKER):
            counts[node] += 1
    return max(counts)


def _candidates_cpu(size: Size, costs: Costs, standing: int) -> tuple[float, float]:
    """Return what candidates for the lead take of a node's core, and of that of one that is an acceptor besides.

    Args:
        size: Each worker is one.
        costs: Of what they do.
        standing: How many of them stand by; the others look now and then whether they are needed.
    """
    back = size.workers - standing
    # who stands by says so on each node, and asks on one whether it still is to
    asks_per_s = (standing / TELL_S + back / STAND_BACK_S) / size.nodes
    telling = (standing / TELL_S * costs.stand_by_us + asks_per_s * costs.stand_back_us) / 1e6
    looks_per_s = standing / LOOK_S + back / LOOK_BACK_S
    return telling, telling + looks_per_s * costs.look_us / 1e6


def _view_bytes(size: Size) -> int:
    """Return how large a view is: an index for each copy, and what is told of each node."""
    of_index = 1 if size.nodes <= 255 else 2
    return size.slots * known.REPLICAS * of_index + 110 * size.nodes


def _spread_s(size: Size, costs: Costs, view_bytes: int, workers_at: int) -> float:
    """Return until when a new view is everywhere: the leader writes it to the nodes, who meets it reads it from one.

    A worker reads it once, from any of its nodes: as many as there are divide it among themselves.
    """
    written_s = size.nodes * max(costs.call_s, view_bytes / known.NETWORK_BYTES_PER_S)
    readers = min(workers_at, -(-size.workers // size.nodes)) * (known.CHILDREN + 1)
    read_s = readers * max(costs.call_s, view_bytes / known.NETWORK_BYTES_PER_S)
    return written_s + read_s + 2 * known.ROUND_TRIP_S
