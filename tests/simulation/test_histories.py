"""Whole meshes in one thread, from seeds: no promise may be broken, whatever goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path

import pytest

from taskmesh.testing.simulated_network import Executed
from tests.simulation.many_seeds import failures, how_to_replay
from tests.simulation.rates import HISTORIES
from tests.simulation.world import World

ROOT = Path(__file__).parents[2]


#: Of a history that differs from others by little, fewer seeds are enough in one run of the tests.
FEWER = {"tickets": 60}


@pytest.mark.slow
@pytest.mark.parametrize("history", HISTORIES)
def test_history(history: str, seeds: range) -> None:
    """In this kind of trouble every promise holds; afterwards all is finished, and nothing is left behind."""
    found = failures(history, seeds[: FEWER.get(history)])
    for seed, trace in found:
        print(f"\n{trace}\nseed {seed} of {history} failed; to replay it, or to see all that happened:")
        print(how_to_replay(history, seed))
    assert [seed for seed, _ in found] == []


def digest(history: str, seed: int) -> str:
    """Return a hash of everything that a run did to the node."""
    world = World(history, seed)
    trace = blake2b(digest_size=8)

    def note(executed: Executed) -> None:
        script = executed.call.script.name if executed.call.script else ""
        line = (world.time.now_s, executed.process, script, executed.call.args, executed.reply)
        trace.update(repr(line).encode())

    world.network.watchers.append(note)
    world.run()
    return trace.hexdigest()


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_same_seed_is_the_same_run(hash_seed: str) -> None:
    """Also in another process, where sets and hashes of Python have another order."""
    program = "from tests.simulation.test_histories import digest; print(digest('everything', 3))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == digest("everything", 3)
