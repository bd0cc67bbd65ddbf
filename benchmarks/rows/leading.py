"""What an idle mesh costs, how soon another leads, and how many schedules one leader fires."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.app import add, fired
from benchmarks.app import mesh as bench
from benchmarks.harness import resp, stamps
from benchmarks.harness.figures import percentile, rounded
from benchmarks.harness.processes import Workers, send
from benchmarks.rows.agreed import agreed_mesh, environ_of
from benchmarks.rows.model import ROOT, Measured, Run, wait_for, wait_for_count
from taskmesh import TaskMesh, every
from taskmesh.coordination.leader import REGISTER, RENEW_S, Leader, unpack_leader
from taskmesh.core import keys
from taskmesh.replication.ask import plain

#: Each schedule fires so often.
INTERVAL_S = 10.0


def idle_mesh(run: Run) -> Measured:
    """Count the commands of a node whose workers have nothing to do, without and with candidates among them."""
    values, detail = {}, {}
    for name, more in (("without", ["--no-scheduler"]), ("candidates", [])):
        workers = run.start_workers(run.worker_command(*more))
        try:
            add.delay(1, 2).get(timeout=60)
            if not more:
                wait_for(lambda: leader_of(bench).holder, "a leader", workers=workers)
            time.sleep(run.options["settle_s"])
            token = leader_of(bench).token
            before = _commands(run.url), workers.cpu_seconds(), time.monotonic()
            time.sleep(max(1.0, run.options["idle_s"]))
            after = _commands(run.url), workers.cpu_seconds(), time.monotonic()
            changes = leader_of(bench).token - token
        finally:
            workers.stop()
        commands, cpu_s, seconds = (now - then for now, then in zip(after, before, strict=True))
        # one of them is the question: it is left in, for an idle node may have had no other in a short time
        values[name] = commands / seconds
        detail[f"cpu_percent_{name}"] = rounded(100 * cpu_s / seconds)
        detail[f"elections_{name}"] = changes
    return Measured(values, detail)


def _commands(url: str) -> int:
    return int(resp.info(url, "stats")["total_commands_processed"])


def leader_of(mesh: TaskMesh) -> Leader:
    """Return what the register of the leader says."""
    agreement = mesh.agreement
    return unpack_leader(agreement.run(agreement.registers.read(REGISTER)).content)


class _Candidates:
    """Some `taskmesh scheduler`, each a process that can be lost by itself."""

    def __init__(self, run: Run, mesh: TaskMesh) -> None:
        self._run, self._mesh = run, mesh
        self._count = 0
        self._running: dict[str, Workers] = {}
        self.fill()

    def fill(self) -> None:
        """Have so many stand as are wanted."""
        while len(self._running) < self._run.options["candidates"]:
            self._start()

    def _start(self) -> None:
        name = f"candidate-{self._count}"
        self._count += 1
        command = [sys.executable, "-m", "taskmesh", "scheduler", "--mesh", self._mesh.name]
        self._running[name] = Workers(
            [[*command, "-n", name, "-l", "WARNING"]],
            cwd=ROOT,
            log=self._run.log,
            environ=environ_of(self._mesh),
        )

    def installed(self) -> int:
        """Return the token of the last leader that has begun to act: the node obeys no older one."""
        link = self._mesh.link
        return int(link.run(plain(link.session, b"GET", keys.leader(link.prefix))) or 0)

    def acting(self) -> Leader | None:
        """Return the leader, if it has begun to act and is one of these."""
        found = leader_of(self._mesh)
        acts = found.token == self.installed() and found.name in self._running
        return found if found.holder and acts else None

    def lose(self, number: int) -> float:
        """End the leader by a signal, and return after how many seconds another acts."""
        old = wait_for(self.acting, "a leader")
        process = self._running.pop(old.name)
        begun = time.monotonic()
        for pid in process.pids():
            send(pid, number)
        wait_for(lambda: self.installed() > old.token, "another leader")
        taken = time.monotonic() - begun
        process.stop()
        return taken

    def stop(self) -> None:
        """End all."""
        for process in self._running.values():
            for pid in process.pids():
                send(pid, signal.SIGTERM)
        for process in self._running.values():
            process.stop()


@contextmanager
def _candidates(run: Run) -> Iterator[_Candidates]:
    with agreed_mesh(run.url) as mesh:
        candidates = _Candidates(run, mesh)
        try:
            yield candidates
        finally:
            candidates.stop()


def leader_failover(run: Run) -> Measured:
    """Kill the leader n times, at any moment between two renewals: until another one acts."""
    chance = random.Random(run.n)
    with _candidates(run) as candidates:
        taken = []
        for _ in range(run.n):
            candidates.fill()
            wait_for(candidates.acting, "a leader")
            time.sleep(chance.uniform(0, min(RENEW_S, run.options["settle_s"])))
            taken.append(candidates.lose(signal.SIGKILL))
    return _spread(taken)


def leader_handover(run: Run) -> Measured:
    """Ask the leader to end, n times: from SIGTERM until another one acts."""
    with _candidates(run) as candidates:
        taken = []
        for _ in range(run.n):
            candidates.fill()
            taken.append(candidates.lose(signal.SIGTERM))
    return _spread(taken)


def _spread(taken: list[float]) -> Measured:
    taken.sort()
    return Measured(
        {"p99": percentile(taken, 99)},
        {
            "losses": len(taken),
            "p50_s": rounded(percentile(taken, 50)),
            "min_s": rounded(taken[0]),
            "max_s": rounded(taken[-1]),
        },
    )


def schedules(run: Run) -> Measured:
    """Define n schedules, each of which fires every 10 s, evenly spread; count what runs, and how late."""
    start = time.monotonic()
    names = [f"bench-{os.getpid()}-{at}" for at in range(run.n)]
    for at, name in enumerate(names):
        phase_s = round(at * INTERVAL_S / run.n, 3)
        bench.schedule(name, every(INTERVAL_S, phase=phase_s), fired.s())
    defined_s = time.monotonic() - start
    workers = run.start_workers()
    try:
        wait_for_count(1, workers)
        time.sleep(run.options["settle_s"])
        first, since = stamps.count(), time.monotonic()
        time.sleep(max(1.0, run.options["idle_s"]))
        wait_for_count(first + 1, workers)
        last, until = stamps.count(), time.monotonic()
        late = sorted(stamps.values()[first:last])
        leader = leader_of(bench)
    finally:
        workers.stop()
        for name in names:
            bench.schedules.remove(name)
    return Measured(
        {"rate": (last - first) / (until - since), "late": percentile(late, 99) * 1000},
        {
            "define_s": rounded(defined_s),
            "late_p50_ms": rounded(percentile(late, 50) * 1000),
            "late_max_ms": rounded(late[-1] * 1000),
            "leader": leader.name,
        },
    )
