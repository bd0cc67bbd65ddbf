"""`taskmesh ring`: which of some nodes would keep which slots, how even that is, and what a change would move."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import click

from taskmesh.cli.group import ending
from taskmesh.cli.output import json_option, print_json, show, table
from taskmesh.ring import RingNode, propose
from taskmesh.ring.node import WEIGHT
from taskmesh.ring.table import Table, copies, handed_over, moved, primaries

SLOTS_MAX = 65_536
_FORM = "NAME[=WEIGHT][@DOMAIN]"


def read_node(word: str) -> RingNode:
    """Return the node that a word stands for: its name, what it weighs, what fails together with it.

    Raises:
        click.BadParameter: It stands for none.
        UsageError: Its weight is out of bounds.
    """
    rest, _, domain = word.partition("@")
    name, equals, weight = rest.partition("=")
    if not name or (equals and not weight.isdecimal()):
        raise click.BadParameter(f"{word!r} is no node: expected {_FORM}, such as a, b=200 or c=50@rack2")
    return RingNode(name, int(weight) if equals else WEIGHT, domain)


@click.command(
    epilog=ending(
        examples=[
            "taskmesh ring a b c",
            "taskmesh ring a b c --add d",
            "taskmesh ring a@left b@left c@right d=200@right --replicas 2 --remove a",
        ],
        codes=["0 shown"],
    ),
)
@click.argument("nodes", nargs=-1, required=True, type=read_node, metavar=f"{_FORM}...")
@click.option(
    "--replicas", type=click.IntRange(1), help="Copies of each slot.  [default: 3, or one per node]"
)
@click.option("--slots", type=click.IntRange(1, SLOTS_MAX), default=1024, show_default=True, help="So many.")
@click.option("--add", multiple=True, type=read_node, metavar=_FORM, help="What if this one joined.")
@click.option("--remove", multiple=True, metavar="NAME", help="What if this one left.")
@click.option(
    "--weigh", multiple=True, type=read_node, metavar="NAME=WEIGHT", help="What if it weighed so much."
)
@json_option
def ring(
    *,
    nodes: tuple[RingNode, ...],
    replicas: int | None,
    slots: int,
    add: tuple[RingNode, ...],
    remove: tuple[str, ...],
    weigh: tuple[RingNode, ...],
    json_wanted: bool,
) -> None:
    """Plan which nodes would keep which slots of a mesh. Nothing is asked and nothing is changed.

    Copies of a slot stand on different nodes, and in as many domains as there are: a host, a rack, a zone, whatever
    fails together. A node keeps copies in proportion to its weight (100), and never two of one slot.
    """
    width = min(3, len(nodes)) if replicas is None else replicas
    before = propose(slots, nodes, width)
    after_nodes = _changed(nodes, add, remove, weigh)
    is_change = after_nodes != list(nodes)
    after = propose(slots, after_nodes, width, before) if is_change else before
    if json_wanted:
        print_json(_document(after_nodes, before, after, width))
        return
    rows = [
        (
            each["node"],
            each["domain"],
            each["weight"],
            each["copies"],
            f"{each['of_share']:.3f}",
            each["primaries"],
        )
        for each in _held(after_nodes, after)
    ]
    show(
        table(
            f"{slots:,} slots, {width} of {len(after_nodes)} nodes keep each",
            ["node", "domain", "weight", "copies", "of its share", "primary of"],
            rows,
            numbers=["weight", "copies", "of its share", "primary of"],
        )
    )
    if is_change:
        show(
            f"{moved(before, after):,} of {slots * width:,} copies would move; {handed_over(before, after):,} more "
            "slots would get another primary, which keeps a copy already"
        )


def _changed(
    nodes: Sequence[RingNode], add: Sequence[RingNode], remove: Sequence[str], weigh: Sequence[RingNode]
) -> list[RingNode]:
    """Return the nodes after a change.

    Raises:
        click.UsageError: It names a node that there is not.
    """
    known = {node.id: node for node in nodes}
    for name in (*remove, *(node.id for node in weigh)):
        if name not in known:
            raise click.UsageError(f"there is no node {name!r}; there are {', '.join(known)}")
    for node in weigh:
        known[node.id] = RingNode(node.id, node.weight, node.domain or known[node.id].domain)
    return [*(node for node in known.values() if node.id not in remove), *add]


def _held(nodes: Sequence[RingNode], placed: Table) -> list[dict[str, Any]]:
    """Return of each node what it keeps."""
    held, led = copies(placed), primaries(placed)
    total, weights = sum(held.values()), sum(node.weight for node in nodes)
    return [
        {
            "node": node.id,
            "domain": node.domain or None,
            "weight": node.weight,
            "copies": held[node.id],
            "of_share": float(Fraction(held[node.id] * weights, total * node.weight)) if node.weight else 0.0,
            "primaries": led[node.id],
        }
        for node in nodes
    ]


def _document(nodes: Sequence[RingNode], before: Table, after: Table, width: int) -> dict[str, Any]:
    return {
        "slots": len(after),
        "replicas": width,
        "nodes": _held(nodes, after),
        "copies_moved": moved(before, after),
        "primaries_handed_over": handed_over(before, after),
        "table": [list(each) for each in after],
    }
