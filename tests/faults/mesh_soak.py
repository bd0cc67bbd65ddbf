"""The long loop on a mesh of several nodes: everybody is harmed under load, and the ledger is checked.

    python -m tests.faults.mesh_soak [--minutes 10] [--nodes 5] [--workers 3] [--schedulers 2] [--round 12] [--seed N]

A thread sends steadily, a schedule fires each second. Nodes, workers, schedulers and connections are harmed as the
seed says; when the machine acts is its own affair. After each round both ledgers must balance and all copies be alike;
at the end nothing may have grown, and no log may hold a traceback that is not a task's.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil

from taskmesh.client.result_set import ResultSet
from taskmesh.errors import NodeUnavailable
from tests.faults.growth import Sample, look, tracebacks
from tests.faults.ledger import Imbalance
from tests.faults.load import Load
from tests.faults.mesh_nemesis import RUNS, MeshNemesis
from tests.faults.mesh_people import Ticks
from tests.faults.mesh_scene import MeshScene, balance
from tests.nodes import Nodes
from tests.support import wait_until

#: The sender rests so long after each send: what is looked for are faults, not throughput.
PAUSE_S = 0.05
#: How long it may take until enough nodes can be reached to forget what is balanced, on a busy machine.
FORGET_S = 300.0
#: What was forgotten is known for ten minutes more and removed within some: only from then on keys may not grow.
KNOWN_S = 780.0


class Soak:
    """One loop.

    Attributes:
        facts: What it has done and counted.
    """

    def __init__(self, nodes: Nodes, folder: Path, *, workers: int, schedulers: int, seed: int) -> None:
        """Start everybody.

        Args:
            nodes: The servers.
            folder: For logs and books.
            workers: So many are kept alive.
            schedulers: So many there are.
            seed: Of everything that is drawn.
        """
        self.facts: Counter[str] = Counter()
        self._folder = folder
        self._rng = random.Random(seed)
        self._scene = MeshScene("soak", nodes, folder, max_crashes=99, lease_ttl=3.0)
        self._nemesis = MeshNemesis(
            self._scene, self._rng, workers=workers, schedulers=schedulers, people=True
        )
        self._begun_s = time.monotonic()
        self._samples: list[Sample] = []
        self._done: list[int] = []

    def play(self, per_round: int, *, seconds: float = math.inf, faults: float = math.inf) -> str:
        """Do all of it, and return the summary.

        Args:
            per_round: So many times somebody is harmed before the ledger is checked.
            seconds: No round begins later.
            faults: No round begins after so many.

        Raises:
            Imbalance: A promise was broken, something grows, or somebody has logged a traceback.
        """
        ends_s, rounds = time.monotonic() + seconds, 0
        while time.monotonic() < ends_s and self._nemesis.done.total() < faults:
            rounds += 1
            self._round(rounds, per_round)
        self._check()
        harmed = [f"{count:8}  {what}" for what, count in self._nemesis.done.most_common()]
        counted = [f"{count:8}  {what}" for what, count in self.facts.items()]
        return "\n".join([*harmed, *counted, f"both ledgers balanced after each of {rounds} rounds"])

    def _round(self, number: int, per_round: int) -> None:
        ticks = Ticks(self._scene, f"ticks{number}")
        load = Load(self._scene, seed=self._rng.randrange(1 << 32), name=f"round{number}", pause_s=PAUSE_S)
        with load:
            for _ in range(per_round):
                load.ran(RUNS)
                began_s = time.monotonic()
                what = self._nemesis.strike(load)
                print(f"{what}: {time.monotonic() - began_s:.1f} s", flush=True)
            load.look()
            ticks.stop()
        balance(self._scene, load)
        self.facts["moments fired"] += ticks.balance(load.ledger)
        self.facts["accepted"] += len(load.ledger.accepted)
        self.facts["unknown to the sender"] += len(load.ledger.unknown)
        self.facts["runs begun"] += len(load.ledger.begins)
        self.facts["runs ended"] += len(load.ledger.ends)
        wait_until(partial(_forgotten, load), FORGET_S, "all results are forgotten")
        self._done.append(len(load.ledger.accepted))
        self._samples.append(look(self._scene, [*self._nemesis.processes(), psutil.Process()]))
        print(
            f"round {number} balanced: {len(load.ledger.accepted)} accepted; {self._samples[-1]}", flush=True
        )

    def _check(self) -> None:
        middle = len(self._samples) // 2
        load = max(self._done) / max(1, *self._done[: middle + 1])
        wrong = self._samples[-1].grown(self._samples[middle], load) + tracebacks(self._folder.glob("*.log"))
        settled = [sample for sample in self._samples if sample.taken_s > self._begun_s + KNOWN_S]
        if len(settled) > 1:
            wrong += settled[-1].grown(settled[0], load, what="keys")
        if wrong:
            raise Imbalance("\n".join(wrong))

    def close(self) -> None:
        """End everybody but the nodes."""
        self._nemesis.close()
        self._scene.close()


def _forgotten(load: Load) -> bool:
    """Forget all results; False where too few nodes could be reached, which may still be coming back."""
    try:
        ResultSet(list(load.handles.values())).forget()
    except NodeUnavailable:
        return False
    return True


@contextmanager
def soaking(nodes: int, *, workers: int, schedulers: int, seed: int) -> Iterator[Soak]:
    """Have so many nodes, workers and schedulers, in a folder of their own, which is kept."""
    folder = Path(tempfile.mkdtemp(prefix="taskmesh-mesh-soak-"))
    print(f"logs and books: {folder}", flush=True)
    servers = Nodes(folder / "nodes", nodes)
    try:
        soak = Soak(servers, folder, workers=workers, schedulers=schedulers, seed=seed)
        try:
            yield soak
        finally:
            soak.close()
    finally:
        servers.close()


def main(words: list[str]) -> int:
    """Run the loop; an imbalance ends it with its text, and the folder with logs and books is kept."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.mesh_soak", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--schedulers", type=int, default=2)
    parser.add_argument("--round", type=int, default=12, help="so many faults before the ledger is checked")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    given = parser.parse_args(words)
    print(f"to repeat it: --seed {given.seed} --nodes {given.nodes}", flush=True)
    with soaking(given.nodes, workers=given.workers, schedulers=given.schedulers, seed=given.seed) as soak:
        print(soak.play(given.round, seconds=given.minutes * 60))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
