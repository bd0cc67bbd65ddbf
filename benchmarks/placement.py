"""`python -m benchmarks.placement`: how even tables of slots are, and what a change of the nodes moves.

Nothing is measured: tables are made by `taskmesh.ring`, and counted. The figures go into docs/placement.md;
`tests/unit/test_placement.py` makes the small rows anew and compares.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import ceil

from benchmarks.harness import pages
from taskmesh.ring import RingNode, propose
from taskmesh.ring.node import WEIGHT
from taskmesh.ring.table import Table, copies, moved, primaries

PAGE = pages.DOCS / "placement.md"
BLOCK = "placement"

REPLICAS = 3
SLOTS = (1024, 4096, 16_384, 65_536)
NODES = (3, 4, 5, 10, 20, 50, 100, 200, 500, 1000)
#: What the docs show: nobody needs as many slots as there can be for a handful of nodes.
SIZES = tuple((slots, count) for slots in SLOTS for count in NODES if slots < SLOTS[-1] or count >= 50)

#: What is promised: copies and primaries of a node, and moved copies, as multiples of their even share.
BALANCE_MAX = 1.05
MOVED_MAX = 1.1


@dataclass(frozen=True, slots=True)
class Row:
    """What was counted for one size of mesh. Shares are multiples of the even or smallest possible one.

    Attributes:
        slots: Of the mesh.
        nodes: All of one weight.
        copies_most: Copies of the node that keeps most.
        copies_share: The same by the mean.
        leads_most: Slots of the node that is the primary of most.
        leads_share: The same by the mean.
        joined: Copies that move when one more node joins.
        joined_share: By what the new node has to get.
        left: Copies that move when one leaves; None where none can.
        left_share: By what it had.
        weighed: Copies that move when a node is to keep twice as much.
        weighed_share: By what it has to get; None where it keeps every slot already.
        hosts_share: Copies of the node that keeps most by the mean, where two nodes stand on each host and no host
            has two copies of a slot; None where they are too few for that.
        hosts_joined_share: Moved copies there, when a host of two joins, by what it has to get.
    """

    slots: int
    nodes: int
    copies_most: int
    copies_share: float
    leads_most: int
    leads_share: float
    joined: int
    joined_share: float
    left: int | None
    left_share: float | None
    weighed: int
    weighed_share: float | None
    hosts_share: float | None
    hosts_joined_share: float | None

    def broken(self) -> list[str]:
        """Return which of the promises do not hold; rounding up to whole copies is part of them."""
        most = {"copies_most": self.slots * REPLICAS, "leads_most": self.slots}
        found = [
            name
            for name, total in most.items()
            if getattr(self, name) > max(ceil(total / self.nodes), BALANCE_MAX * total / self.nodes)
        ]
        moves = ("joined_share", "left_share", "weighed_share", "hosts_joined_share")
        return found + [name for name in moves if (getattr(self, name) or 0.0) > MOVED_MAX]


def row(slots: int, count: int) -> Row:
    """Make the tables of one size, and count."""
    nodes = [RingNode(f"n{at}") for at in range(1, count + 1)]
    total = slots * REPLICAS
    table = propose(slots, nodes, REPLICAS)
    most, leads = max(copies(table).values()), max(primaries(table).values())
    joined = moved(table, propose(slots, [*nodes, RingNode("new")], REPLICAS, table))
    had = copies(table)["n1"]
    left = moved(table, propose(slots, nodes[1:], REPLICAS, table)) if count > REPLICAS else None
    twice = [RingNode("n1", 2 * WEIGHT), *nodes[1:]]
    weighed = moved(table, propose(slots, twice, REPLICAS, table))
    # nobody keeps a slot twice
    more = min(slots, 2 * total / (count + 1)) - total / count
    hosts_share, hosts_joined_share = _on_hosts(slots, count)
    return Row(
        slots=slots,
        nodes=count,
        copies_most=most,
        copies_share=_rounded(most * count / total),
        leads_most=leads,
        leads_share=_rounded(leads * count / slots),
        joined=joined,
        joined_share=_rounded(joined * (count + 1) / total),
        left=left,
        left_share=None if left is None else _rounded(left / had),
        weighed=weighed,
        weighed_share=_rounded(weighed / more) if more >= 1 else None,
        hosts_share=hosts_share,
        hosts_joined_share=hosts_joined_share,
    )


def _on_hosts(slots: int, count: int) -> tuple[float | None, float | None]:
    """Return shares where two nodes stand on each host: of the one that keeps most, and of what a new host gets."""
    if count < 2 * REPLICAS or count % 2:
        return None, None
    nodes = [RingNode(f"n{at}", domain=f"h{at // 2}") for at in range(count)]
    table = propose(slots, nodes, REPLICAS)
    _check_hosts(table, nodes)
    more = [*nodes, RingNode("new1", domain="new"), RingNode("new2", domain="new")]
    after = propose(slots, more, REPLICAS, table)
    _check_hosts(after, more)
    total = slots * REPLICAS
    return (
        _rounded(max(copies(table).values()) * count / total),
        _rounded(moved(table, after) * (count + 2) / (2 * total)),
    )


def _check_hosts(table: Table, nodes: Sequence[RingNode]) -> None:
    domains = {node.id: node.domain for node in nodes}
    for slot, replicas in enumerate(table):
        if len({domains[node] for node in replicas}) < REPLICAS:
            raise RuntimeError(f"slot {slot} has two copies on one host: {', '.join(replicas)}")


def _rounded(share: float) -> float:
    return round(share, 3)


def rows(sizes: Sequence[tuple[int, int]]) -> Iterator[Row]:
    """Return the rows of some sizes, in order."""
    return (row(slots, count) for slots, count in sizes)


def markdown(found: Sequence[Row]) -> str:
    """Return the table of the docs."""
    heads = (
        "slots",
        "nodes",
        "most copies",
        "most led",
        "join moves",
        "leave",
        "twice the weight",
        "hosts of two",
    )
    return pages.table(heads, [shown(each) for each in found])


def shown(each: Row) -> list[str]:
    """Return a row of the table, as the docs show it."""
    return [
        f"{each.slots:,}",
        f"{each.nodes:,}",
        f"{each.copies_most:,} ({_times(each.copies_share)})",
        f"{each.leads_most:,} ({_times(each.leads_share)})",
        f"{each.joined:,} ({_times(each.joined_share)})",
        "-" if each.left is None else f"{each.left:,} ({_times(each.left_share)})",
        "-" if each.weighed_share is None else f"{each.weighed:,} ({_times(each.weighed_share)})",
        f"{_times(each.hosts_share)}; {_times(each.hosts_joined_share)}" if each.hosts_share else "-",
    ]


def _times(share: float | None) -> str:
    return "-" if share is None else f"{share:.3f}"


def main(argv: Sequence[str] | None = None) -> int:
    """Count, and write or print.

    Returns:
        1 where something that is promised does not hold.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.placement", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--slots", type=int, help="of this size alone, with --nodes")
    parser.add_argument("--nodes", type=int, help="of this size alone, with --slots")
    parser.add_argument("--json", action="store_true", help="print the figures, and write nothing")
    args = parser.parse_args(argv)
    if (args.slots is None) != (args.nodes is None):
        parser.error("a size needs both: --slots and --nodes")
    if args.nodes is not None and args.nodes < REPLICAS:
        parser.error(f"{REPLICAS} copies of each slot need as many nodes: --nodes {REPLICAS} at least")
    found = list(rows(SIZES if args.nodes is None else [(args.slots, args.nodes)]))
    if args.json:
        print(json.dumps([asdict(each) for each in found], indent=1))
    elif args.nodes is not None:
        print(markdown(found))
    else:
        pages.put(PAGE, BLOCK, markdown(found))
    broken = [f"{each.slots} slots, {each.nodes} nodes: {name}" for each in found for name in each.broken()]
    for each in broken:
        print(f"not as promised: {each}", file=sys.stderr)
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
