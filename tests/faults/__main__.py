"""The long loop: kills of every kind under load, and the ledger checked now and then.

    python -m tests.faults [--kills 1000] [--round 25] [--mesh 20] [--scenes 1] [--seed N]
    python -m tests.faults --leaders 200 [--seed N]

First so many kills of workers and of the one node; then so many faults on a mesh of three nodes, with two workers
and two schedulers, whose nodes are killed, stopped, emptied and filled as well; then, unless `--scenes 0` is given, the
tests of which `make test` does a share only (`scale.py`). `python -m tests.faults.mesh_soak` goes on with the mesh for
as long as wanted.

The seed says who is harmed, how and in which order. When the machine acts is its own affair, so a seed repeats
the plan and not each interleaving.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from taskmesh.nodes.embedded import PrivateNode, start_private
from tests.faults import leaders, mesh_soak, scale
from tests.faults.load import Load
from tests.faults.nemesis import Nemesis
from tests.faults.scene import Scene
from tests.faults.server import Server

#: So many runs come to their end between two kills.
RUNS = 20
#: So many faults on a mesh of several before the ledger is checked.
MESH_ROUND = 10


class Totals:
    """What the whole loop has done."""

    def __init__(self) -> None:
        self.facts: Counter[str] = Counter()
        self.began_s = time.monotonic()

    def add(self, load: Load) -> None:
        """Take in a round that balanced."""
        ledger = load.ledger
        self.facts["accepted"] += len(ledger.accepted)
        self.facts["unknown to the sender"] += len(ledger.unknown)
        self.facts["rejected"] += len(ledger.rejected)
        self.facts["runs begun"] += len(ledger.begins)
        self.facts["runs ended"] += len(ledger.ends)
        self.facts["outcomes read"] += sum(len(reading.seen) for reading in ledger.readings)

    def shown(self, nemesis: Nemesis) -> str:
        """Return the summary."""
        lines = [f"{count:8}  {what}" for what, count in nemesis.done.most_common()]
        lines.append(f"{nemesis.done.total():8}  in all, in {time.monotonic() - self.began_s:.0f} s")
        lines += [f"{count:8}  {what}" for what, count in self.facts.items()]
        return "\n".join([*lines, "the ledger balanced after each round"])


def play(node: PrivateNode, folder: Path, *, kills: int, per_round: int, seed: int) -> str:
    """Do all of it, and return the summary.

    Raises:
        Imbalance: A promise was broken.
    """
    rng = random.Random(seed)
    scene = Scene("chaos", f"unix://{node.socket_path}", folder, max_crashes=99, lease_ttl=3.0)
    try:
        nemesis, totals = Nemesis(scene, rng, lambda: os.kill(node.server_pid, signal.SIGKILL)), Totals()
        number = 0
        while nemesis.done.total() < kills:
            number += 1
            with Load(scene, seed=rng.randrange(1 << 32), name=f"round{number}", pause_s=0.0) as load:
                for _ in range(min(per_round, kills - nemesis.done.total())):
                    load.ran(RUNS)
                    nemesis.strike(load)
                load.look()
            load.balance(120)
            totals.add(load)
            print(f"{nemesis.done.total()} of {kills}: {len(load.ledger.accepted)} balanced", flush=True)
        return totals.shown(nemesis)
    finally:
        scene.close()


def lose_leaders(count: int, seed: int) -> int:
    """Lose leaders, and print what came of it."""
    folder = Path(tempfile.mkdtemp(prefix="taskmesh-leaders-"))
    print(f"to repeat it: --leaders {count} --seed {seed}; logs: {folder}", flush=True)
    server = Server(folder / "server")
    try:
        print(leaders.shown(leaders.play(server, folder, leaders.drawn(count, seed))))
    finally:
        server.close()
    return 0


def main(words: list[str]) -> int:
    """Run the loop; an imbalance ends it with its text, and the folder with logs and books is kept."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--kills", type=int, default=1000, help="of workers and of the node; 0 leaves them out"
    )
    parser.add_argument("--round", type=int, default=25, help="so many kills before the ledger is checked")
    parser.add_argument(
        "--mesh", type=int, default=20, help="so many faults on a mesh of three nodes; 0 leaves them out"
    )
    parser.add_argument(
        "--scenes",
        type=int,
        default=1,
        help="run the tests that repeat themselves so often; 0 leaves them out",
    )
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--leaders", type=int, default=0, help="lose so many leaders of schedules instead")
    given = parser.parse_args(words)
    if given.leaders:
        return lose_leaders(given.leaders, given.seed)
    print(
        f"to repeat it: --seed {given.seed} --kills {given.kills} --round {given.round} --mesh {given.mesh} "
        f"--scenes {given.scenes}",
        flush=True,
    )
    if given.kills:
        harm_one_node(given.kills, given.round, given.seed)
    if given.mesh:
        with mesh_soak.soaking(3, workers=2, schedulers=2, seed=given.seed) as soak:
            print(soak.play(min(given.mesh, MESH_ROUND), faults=given.mesh))
    failed = [code for code in (scale.run_whole() for _ in range(given.scenes)) if code]
    return failed[0] if failed else 0


def harm_one_node(kills: int, per_round: int, seed: int) -> None:
    """Kill workers and the node, and print what came of it."""
    folder = Path(tempfile.mkdtemp(prefix="taskmesh-faults-"))
    print(f"logs and books: {folder}", flush=True)
    with start_private("chaos", durability="process") as node:
        print(play(node, folder, kills=kills, per_round=per_round, seed=seed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
