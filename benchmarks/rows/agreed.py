"""What agreement costs: a change of a register, a lock that is free, a lock that is handed over."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

from benchmarks.app import folder
from benchmarks.harness import resp
from benchmarks.harness.figures import percentile, rounded
from benchmarks.harness.processes import Workers
from benchmarks.rows.holder import GO, READY
from benchmarks.rows.model import ROOT, Measured, Run, wait_for
from benchmarks.servers import Server
from taskmesh import TaskMesh
from taskmesh.consensus.registers import Versioned, Write

ACCEPTORS = 3
WARM_UP = 20
#: How long each holder of the lock that is handed over keeps it: long enough for the other to stand in line.
HOLD_S = 0.03


@contextmanager
def agreed_mesh(url: str) -> Iterator[TaskMesh]:
    """Give a mesh of its own, with three acceptors that force each write to disk."""
    with ExitStack() as stack:
        acceptors = [stack.enter_context(Server(durability="disk", tcp=True)).url for _ in range(ACCEPTORS)]
        mesh = TaskMesh(f"bench-{os.urandom(4).hex()}", nodes=[url], acceptors=acceptors)
        stack.callback(mesh.close)
        yield mesh


def environ_of(mesh: TaskMesh) -> dict[str, str]:
    """Return the environment of a process that is to use such a mesh, too."""
    settings = mesh.settings
    return {
        **os.environ,
        "TASKMESH_NODES": ",".join(settings.nodes),
        "TASKMESH_ACCEPTORS": ",".join(settings.acceptors),
    }


def _raised(found: Versioned) -> Write:
    return Write(b"%d" % (int(found.content or b"0") + 1))


def agreed_change(run: Run) -> Measured:
    """Change two registers in turn, one in two phases, one in the one phase of who changed it last."""
    with agreed_mesh(run.url) as mesh:
        agreement = mesh.agreement
        registers = agreement.registers
        taken: dict[str, list[float]] = {"two": [], "one": []}
        for _ in range(WARM_UP + run.n):
            for name, times in taken.items():
                change = registers.change(name, _raised, agreement.operation(), sticky=name == "one")
                times.append(_ms(lambda: agreement.run(change)))  # noqa: B023 - called at once
        found = agreement.run(registers.read_many(list(taken)))
        wrong = sum(each.content != b"%d" % (WARM_UP + run.n) for each in found.values())
        writes = _written_ms(mesh.settings.acceptors[0], run.n)
    two, one = (sorted(times[WARM_UP:]) for times in taken.values())
    return Measured(
        {
            "p50": percentile(two, 50),
            "p99": percentile(two, 99),
            "sticky-p50": percentile(one, 50),
            "sticky-p99": percentile(one, 99),
        },
        {
            "wrong": wrong,
            "max_ms": rounded(two[-1]),
            # what one write that is forced to disk costs at this moment, on one server
            "write_p50_ms": rounded(percentile(writes, 50)),
            "write_p99_ms": rounded(percentile(writes, 99)),
        },
    )


def _ms(what: Callable[[], object]) -> float:
    start = time.perf_counter()
    what()
    return (time.perf_counter() - start) * 1000


def _written_ms(url: str, n: int) -> list[float]:
    answer = len(b"+OK\r\n")
    with resp.connect(url) as connection:

        def write() -> None:
            connection.sendall(b"SET bench 1\r\n")
            connection.recv(answer, socket.MSG_WAITALL)

        return sorted(_ms(write) for _ in range(n))


def lock(run: Run) -> Measured:
    """Acquire and release a lock that nobody else wants."""
    with agreed_mesh(run.url) as mesh:
        acceptor = mesh.settings.acceptors[0]
        held = mesh.lock("bench")
        acquires, releases, tokens = [], [], []
        asked = 0
        for at in range(WARM_UP + run.n):
            if at == WARM_UP:
                asked = _scripts_run(acceptor)
            acquires.append(_ms(held.acquire))
            tokens.append(held.token)
            releases.append(_ms(held.release))
        asked = _scripts_run(acceptor) - asked
    pairs = sorted(map(sum, zip(acquires[WARM_UP:], releases[WARM_UP:], strict=True)))
    return Measured(
        {"p50": percentile(pairs, 50), "p99": percentile(pairs, 99)},
        {
            "wrong": sum(later <= earlier for earlier, later in pairwise(tokens)),
            "acquire_p50_ms": rounded(percentile(sorted(acquires[WARM_UP:]), 50)),
            "release_p50_ms": rounded(percentile(sorted(releases[WARM_UP:]), 50)),
            "rounds": rounded(asked / run.n),
        },
    )


def _scripts_run(url: str) -> int:
    found = resp.info(url, "commandstats").get("cmdstat_evalsha", "calls=0,")
    return int(found.removeprefix("calls=").partition(",")[0])


def lock_handover(run: Run) -> Measured:
    """Two processes want one lock: from the release of the one until the other, who waits, has it."""
    with agreed_mesh(run.url) as mesh:
        paths = [folder() / f"holder-{at}" for at in range(2)]
        command = [sys.executable, "-m", "benchmarks.rows.holder", mesh.name, str(max(2, run.n // 2))]
        holders = Workers(
            [[*command, str(path), str(HOLD_S)] for path in paths],
            cwd=ROOT,
            log=run.log,
            environ=environ_of(mesh),
        )
        try:
            # one that is done before the other has started hands nothing over
            ready = [path.with_suffix(READY) for path in paths]
            wait_for(lambda: all(map(Path.exists, ready)), "the holders", workers=holders)
            (folder() / GO).touch()
            wait_for(lambda: all(map(Path.exists, paths)), "what the holders say", timeout_s=300)
        finally:
            holders.stop()
        held = sorted(
            (got, asked, left, token, at)
            for at, path in enumerate(paths)
            for asked, got, left, token in json.loads(path.read_text())
        )
    gaps = []
    wrong = 0
    for (_, _, left, token, at), (got, asked, _, next_token, next_at) in pairwise(held):
        wrong += got < left or next_token <= token
        if at != next_at and asked < left - HOLD_S / 2:
            gaps.append((got - left) * 1000)
    gaps.sort()
    return Measured(
        {"p50": percentile(gaps, 50), "p99": percentile(gaps, 99)},
        {"wrong": wrong, "handovers": len(gaps), "max_ms": rounded(gaps[-1])},
    )
