"""The long loop on a mesh of several nodes: node after node is harmed under load, and the ledger is checked.

    python -m tests.faults.mesh_soak [--minutes 10] [--nodes 3] [--round 8] [--seed N]

The seed says who is harmed, how and in which order; when the machine acts is its own affair.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults.load import Load
from tests.faults.mesh_nemesis import RUNS, MeshNemesis
from tests.faults.mesh_scene import MeshScene, balance
from tests.nodes import Nodes


def play(nodes: Nodes, folder: Path, *, seconds: float, per_round: int, seed: int) -> str:
    """Do all of it, and return the summary.

    Args:
        nodes: The servers.
        folder: For logs and books.
        seconds: No round begins later.
        per_round: So many times somebody is harmed before the ledger is checked.
        seed: Of everything that is drawn.

    Raises:
        Imbalance: A promise was broken.
    """
    rng, ends_s = random.Random(seed), time.monotonic() + seconds
    scene = MeshScene("soak", nodes, folder, max_crashes=99, lease_ttl=3.0)
    facts: Counter[str] = Counter()
    try:
        nemesis, rounds = MeshNemesis(scene, rng), 0
        while time.monotonic() < ends_s:
            rounds += 1
            with Load(scene, seed=rng.randrange(1 << 32), name=f"round{rounds}") as load:
                for _ in range(per_round):
                    load.ran(RUNS)
                    began_s = time.monotonic()
                    what = nemesis.strike(load)
                    print(f"{what}: whole after {time.monotonic() - began_s:.1f} s", flush=True)
                load.look()
            balance(scene, load)
            facts["accepted"] += len(load.ledger.accepted)
            facts["unknown to the sender"] += len(load.ledger.unknown)
            facts["runs begun"] += len(load.ledger.begins)
            facts["runs ended"] += len(load.ledger.ends)
            print(f"round {rounds} balanced: {len(load.ledger.accepted)} accepted", flush=True)
        harmed = [f"{count:8}  {what}" for what, count in nemesis.done.most_common()]
        counted = [f"{count:8}  {what}" for what, count in facts.items()]
        return "\n".join([*harmed, *counted, f"the ledger balanced after each of {rounds} rounds"])
    finally:
        scene.close()


def main(words: list[str]) -> int:
    """Run the loop; an imbalance ends it with its text, and the folder with logs and books is kept."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.mesh_soak", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--round", type=int, default=8, help="so many faults before the ledger is checked")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    given = parser.parse_args(words)
    folder = Path(tempfile.mkdtemp(prefix="taskmesh-mesh-soak-"))
    print(f"to repeat it: --seed {given.seed} --nodes {given.nodes}; logs and books: {folder}", flush=True)
    nodes = Nodes(folder / "nodes", given.nodes)
    try:
        seconds = given.minutes * 60
        print(play(nodes, folder, seconds=seconds, per_round=given.round, seed=given.seed))
    finally:
        nodes.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
