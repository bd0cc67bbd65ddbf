"""Acceptors, processes and operators in one thread, from seeds: no promise may be broken, whatever goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from hashlib import blake2b
from io import StringIO
from pathlib import Path
from random import Random

import pytest

from taskmesh.core.steps import Call, Reply
from tests.simulation.agreement.__main__ import main as replay
from tests.simulation.agreement.many_seeds import failures, how_to_replay
from tests.simulation.agreement.rates import Rates, draw
from tests.simulation.agreement.servers import ScriptServer, Server
from tests.simulation.agreement.world import Task, World

#: Tests that share the seeds: none is to take minutes.
PARTS = 6
ROOT = Path(__file__).parents[3]


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_agreement(agreement_seeds: range, part: int) -> None:
    """Every promise holds in all kinds of trouble, and afterwards everything that was begun comes to an end."""
    first, count = agreement_seeds.start, len(agreement_seeds)
    found = failures(range(first + part * count // PARTS, first + (part + 1) * count // PARTS))
    for seed, trace in found[:3]:
        print(f"\n{trace}\nseed {seed} failed; to see all that happened:\n{how_to_replay(seed)}")
    assert [seed for seed, _ in found] == []


def digest(seed: int) -> str:
    """Return a hash of everything that acceptors were asked and answered in a run."""
    world = World(seed)
    trace = blake2b(digest_size=8)

    def note(now_s: float, task: Task, server: Server, call: Call, reply: Reply) -> None:
        trace.update(repr((now_s, task.name, server.address, call.args, reply)).encode())

    world.watchers.append(note)
    world.run()
    return trace.hexdigest()


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_same_seed_is_the_same_run(hash_seed: str) -> None:
    """Also in another process, where sets and hashes of Python have another order."""
    seeds = [3, 19, 22, 51]
    program = (
        "from tests.simulation.agreement.test_agreement import digest; "
        f"print(*[digest(seed) for seed in {seeds}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [digest(seed) for seed in seeds]


def rates(seeds: range) -> list[Rates]:
    return [draw(seed, Random(seed)) for seed in seeds]


def test_seeds_differ_in_kind() -> None:
    """A third goes over to other acceptors, a third loses disks, a tenth has five; each fault is often missing."""
    some = rates(range(3000))
    share = {
        "five acceptors": sum(each.acceptors == 5 for each in some),
        "other acceptors": sum(each.reconfigure > 0 for each in some),
        "lost or older disks": sum(each.empty > 0 or each.forgetful > 0 for each in some),
        "scripts": sum(each.scripts for each in some),
        "founded": sum(each.founded for each in some),
        "nothing lost": sum(each.lost == 0 for each in some),
    }
    least = {"five acceptors": 0.08, "other acceptors": 0.33, "lost or older disks": 0.33, "scripts": 0.05}
    least |= {"founded": 0.03, "nothing lost": 0.3}
    assert {kind for kind, many in share.items() if many < least[kind] * len(some)} == set()


def test_what_seeds_draw_happens() -> None:
    """Over some hundred runs acceptors say every word they know that a right proposer can hear."""
    words: dict[str, int] = {}
    most = 0

    def note(now_s: float, task: Task, server: Server, call: Call, reply: Reply) -> None:
        word = "look" if call.script and call.script.name.endswith("look") else reply[0].decode()
        words[word] = words.get(word, 0) + 1

    for seed in range(400):
        world = World(seed)
        world.watchers.append(note)
        world.run()
        most = max(most, *world.configurations.known)
        assert all(
            isinstance(server, ScriptServer) == world.rates.scripts for server in world.servers.values()
        )
    missing = {
        *(
            "PROMISED",
            "ACCEPTED",
            "CONFLICT",
            "SEALED",
            "OPEN",
            "CONFIGURATION",
            "WRONGINSTANCE",
            "NOTADMITTED",
        ),
        *("EXPORT", "NAMES", "DROPPED", "CHANGED", "ADMITTED", "OTHERRUN", "RENAMED"),
    } - words.keys()
    assert missing == set()
    assert words.keys() & {"FAULT", "AHEAD"} == set()
    assert most >= 5


def test_a_seed_of_locks_can_be_replayed(capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(["3", "--of", "semaphores", "semaphore/x"]) == 0
    assert "accept" in capsys.readouterr().out


def test_a_seed_can_be_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With every call, and the history as JSON lines."""
    path = tmp_path / "history.jsonl"
    assert replay(["3", "--export", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "prepare" in shown
    assert "PROMISED" in shown
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    world = World(3)
    world.run()
    again = StringIO()
    world.history.write(again)
    assert [json.loads(line) for line in again.getvalue().splitlines()] == lines
    assert {"process", "register", "kind", "word", "start_s", "end_s", "end", "version", "content"} == set(
        lines[0]
    )
