"""Candidates as real processes, each behind a network of its own, and what is lost of them.

A schedule fires ten times a second all the while. Whatever becomes of its leaders: each nominal moment is enqueued
exactly once, tokens only grow, and what an old leader still sends is refused by the node.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from redis import Redis

from taskmesh import TaskMesh, every
from taskmesh.coordination.firing import read_firing_id
from taskmesh.coordination.leader import REGISTER, Leader, unpack_leader
from tests.faults.proxy import Proxy, Way
from tests.faults.server import Server
from tests.support import wait_until

KEY = "leaders-" + 64 * "0"
NAME = "ticks"
TICK_MS = 100
#: Within so many seconds there is another leader, on a machine that has far too much to do.
ELECTED_S = 180.0


def environ(**env: str) -> dict[str, str]:
    """Return the environment of a process that is to know the mesh's key, and these."""
    others = {key: value for key, value in os.environ.items() if not key.startswith("TASKMESH_")}
    return {**others, "TASKMESH_KEY": KEY, **env}


class Contender:
    """One `taskmesh scheduler`."""

    def __init__(
        self, mesh: str, name: str, port: int, folder: Path, env: dict[str, str], within: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.proxy = Proxy(port)
        self._log = folder / f"{name}.log"
        self._environ = environ(**{"TASKMESH_NODES": self.proxy.url, **env})
        self._words = [
            *within,
            *(sys.executable, "-m", "taskmesh", "scheduler", "--mesh", mesh, "-n", name),
        ]
        self.start()

    def start(self) -> None:
        """Start the process."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._words, env=self._environ, stdout=log, stderr=log)

    def said(self) -> str:
        """Return what it has logged."""
        return self._log.read_text("utf-8", "replace")

    def end(self) -> None:
        """Kill it, and wait for that."""
        self.process.kill()
        self.process.wait(90)
        self.proxy.close()


class Contest:
    """Some candidates of one mesh, and what is known of those that led."""

    def __init__(
        self, server: Server, folder: Path, *, candidates: int = 5, env: dict[str, str] | None = None
    ) -> None:
        self.node = Redis.from_url(server.url)
        self.mesh = TaskMesh("contest", nodes=[server.url], key=KEY, **self.settings())
        task = self.mesh.task(name="tick")(print)
        self.mesh.schedule(NAME, every(TICK_MS / 1000), task.s(), misfire="all")
        self.contenders = {
            name: self.contender(name, server, folder, env or {})
            for name in (f"c{number}" for number in range(candidates))
        }
        self.tokens: list[int] = []
        self.took_s: dict[str, list[float]] = {}
        self.lost: Counter[str] = Counter()
        self._elected()

    def settings(self) -> dict[str, Any]:
        """Return further settings of the mesh."""
        return {}

    def contender(self, name: str, server: Server, folder: Path, env: dict[str, str]) -> Contender:
        """Start a candidate."""
        return Contender("contest", name, server.port, folder, env)

    # -- looking ------------------------------------------------------------------

    def leader(self) -> Leader:
        """Return what the register says."""
        agreement = self.mesh.agreement
        return unpack_leader(agreement.run(agreement.registers.read(REGISTER)).content)

    def fired(self) -> int:
        """Return how many firings have become messages."""
        return int(self.node.llen(f"tm:{self.mesh.name}:q:default:4"))

    def _elected(self) -> Leader:
        """Wait for a leader with a token that was not there before, and for its first firing."""
        before = self.tokens[-1] if self.tokens else 0

        def newer() -> Leader | None:
            found = self.leader()
            return found if found.holder and found.token > before else None

        found = wait_until(newer, ELECTED_S, f"a leader after token {before}; {self._said()}")
        self.tokens.append(found.token)
        count = self.fired()
        wait_until(lambda: self.fired() > count, ELECTED_S, f"{found.name} fires; {self._said()}")
        return found

    def _said(self) -> str:
        return "\n".join(each.said()[-1500:] for each in self.contenders.values())

    def refused(self) -> int:
        """Return how often the node has refused an old leader."""
        found = self.node.info("errorstats").get("errorstat_STALETOKEN", {"count": 0})
        return int(found["count"])

    # -- losing -------------------------------------------------------------------

    def lose(self, how: str) -> None:
        """Lose the leader, wait for the next, and have the lost one come back."""
        old = self.contenders[self.leader().name]
        begun_s = time.monotonic()
        getattr(self, f"_{how}")(old)
        self._elected()
        self.took_s.setdefault(how, []).append(time.monotonic() - begun_s)
        self.lost[how] += 1
        getattr(self, f"_after_{how}")(old)

    def _term(self, old: Contender) -> None:
        old.process.send_signal(signal.SIGTERM)

    def _after_term(self, old: Contender) -> None:
        assert old.process.wait(90) == 0, old.said()
        old.start()

    def _kill(self, old: Contender) -> None:
        old.process.kill()

    def _after_kill(self, old: Contender) -> None:
        old.process.wait(90)
        old.start()

    def _stop(self, old: Contender) -> None:
        old.process.send_signal(signal.SIGSTOP)

    def _after_stop(self, old: Contender) -> None:
        self._comes_back(old, lambda: old.process.send_signal(signal.SIGCONT))

    def _cut(self, old: Contender) -> None:
        old.proxy.be(Way.HOLE)

    def _after_cut(self, old: Contender) -> None:
        self._comes_back(old, lambda: old.proxy.be(Way.PASS))

    def _comes_back(self, old: Contender, come: object) -> None:
        """Let a leader that was replaced go on, and wait until it has understood."""
        known = old.said().count("is over") + old.said().count("obeys a newer leader")
        come()  # type: ignore[operator]
        wait_until(
            lambda: old.said().count("is over") + old.said().count("obeys a newer leader") > known,
            ELECTED_S,
            f"{old.name} finds itself replaced; {old.said()}",
        )

    def moments(self) -> list[int]:
        """Return the nominal moments of which there is a message, in order."""
        start = f"tm:{self.mesh.name}:r:"
        keys = self.node.scan_iter(f"{start}{NAME}@*", count=1000)
        found = (read_firing_id(key.decode().removeprefix(start)) for key in keys)
        return sorted(each[1] for each in found if each)

    # -- the end ------------------------------------------------------------------

    def check(self) -> None:
        """Compare what became of each moment with what should have."""
        start = f"tm:{self.mesh.name}:r:"
        self.mesh.schedules.pause(NAME)
        for contender in self.contenders.values():
            contender.process.kill()
            contender.process.wait(90)
        hints = [
            hint.decode().rpartition(":")[0]
            for hint in self.node.lrange(f"tm:{self.mesh.name}:q:default:4", 0, -1)
        ]
        twice = [task_id for task_id, count in Counter(hints).items() if count > 1]
        assert not twice, f"enqueued twice: {twice}"
        assert len(hints) == sum(1 for _ in self.node.scan_iter(f"{start}{NAME}@*", count=1000))
        moments = sorted(found[1] for task_id in hints if (found := read_firing_id(task_id)))
        gaps = {later - earlier for earlier, later in pairwise(moments)}
        assert gaps == {TICK_MS}, f"moments were left out: {sorted(gaps)}"
        assert self.tokens == sorted(set(self.tokens)), f"tokens do not grow: {self.tokens}"

    def close(self) -> None:
        """End all processes."""
        for contender in self.contenders.values():
            contender.end()
        self.mesh.close()
        self.node.close()


def play(server: Server, folder: Path, losses: list[str], candidates: int = 5) -> Contest:
    """Lose one leader after another, check, and return what is known."""
    contest = Contest(server, folder, candidates=candidates)
    try:
        for how in losses:
            contest.lose(how)
        contest.check()
        return contest
    finally:
        contest.close()


def drawn(count: int, seed: int) -> list[str]:
    """Return how so many leaders are lost, each way as often as the others."""
    ways = [("term", "kill", "stop", "cut")[number % 4] for number in range(count)]
    random.Random(seed).shuffle(ways)
    return ways


def shown(contest: Contest) -> str:
    """Return the summary."""
    lines = [f"{contest.fired():8}  firings, each moment once"]
    for how, took_s in sorted(contest.took_s.items()):
        ordered = sorted(took_s)
        p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        lines.append(
            f"{len(ordered):8}  {how}: until the next leader fired, median "
            f"{ordered[len(ordered) // 2]:.2f} s, p99 {p99:.2f} s"
        )
    return "\n".join([*lines, f"{contest.refused():8}  times an old leader was refused by the node"])
