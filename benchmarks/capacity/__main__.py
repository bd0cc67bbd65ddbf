"""`python -m benchmarks.capacity`: reckon meshes of 10 to 1,000 nodes, and write docs/capacity.md and its chart."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.capacity import page
from benchmarks.capacity.costs import read
from benchmarks.capacity.model import EVERY, SOME, Reckoned, Size, place, reckon

#: Nodes and workers.
SIZES = (
    (10, 100),
    (10, 1000),
    (50, 1000),
    (50, 10_000),
    (100, 10_000),
    (200, 20_000),
    (500, 50_000),
    (1000, 100_000),
)
#: From which nodes workers claim, and whether they beat on those only.
WAYS = ((EVERY, False), (SOME, False), (SOME, True))
SEED = 1


def reckon_all(sizes: Sequence[tuple[int, int]] = SIZES, seed: int = SEED) -> list[list[Reckoned]]:
    """Return for each size what it comes to, in each of the ways."""
    costs = read()
    places = {nodes: place(Size(nodes, 1)) for nodes in dict.fromkeys(nodes for nodes, _ in sizes)}
    return [
        [reckon(Size(nodes, workers, to, few), costs, places[nodes], seed) for to, few in WAYS]
        for nodes, workers in sizes
    ]


def document(found: Sequence[Sequence[Reckoned]]) -> list[dict[str, object]]:
    """Return the figures as a document."""
    return [
        {**asdict(each), "bottleneck": each.bottleneck, "fail_over_p99_s": each.fail_over.worst_s}
        for ways in found
        for each in ways
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Reckon, and write or print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.capacity", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--seed", type=int, default=SEED, help=f"of what is left to chance (default {SEED})")
    parser.add_argument("--json", action="store_true", help="print the figures, and write nothing")
    args = parser.parse_args(argv)
    found = reckon_all(seed=args.seed)
    if args.json:
        print(json.dumps(document(found), indent=1))
    else:
        page.write(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
