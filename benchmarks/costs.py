"""`python -m benchmarks.costs`: what single operations cost a server, for the model of large meshes.

Goes into results/costs.json, from which (and from results/budget.json) `benchmarks.capacity` reckons. CPU time of the
server is counted, and not time that passes, so others on the machine disturb it little.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random

from benchmarks.harness import machine, resp
from benchmarks.harness.figures import rounded
from benchmarks.servers import MESH, Server
from taskmesh import TaskMesh
from taskmesh.coordination.candidates import STAND_BY_MAX, is_needed, tell
from taskmesh.coordination.leader import REGISTER, Candidate, Leader, bid
from taskmesh.queue.workers import beat, register
from taskmesh.ring import RingNode, propose

COSTS = Path(__file__).parent / "results" / "costs.json"

#: So many workers are registered, for one beat that reads few and one that reads many counters.
FEW, MANY = 10, 2000
BEATS = 300
#: Of each of the things that candidates for the lead do.
TURNS = 2000
CONNECTIONS = 400
MESSAGES = 20_000
#: Slots and nodes of a table that is proposed.
TABLES = ((1024, 10), (16_384, 100), (65_536, 1000))

_INFO = b'{"worker":"worker-1","host":"host-1","pid":12345,"build":"0123456789abcdef","queues":["default"]}'


def _nothing(value: int) -> int:
    return value


def measure(
    url: str, *, beats: int = BEATS, many: int = MANY, messages: int = MESSAGES, turns: int = TURNS
) -> dict[str, float]:
    """Return what was counted on a server of its own.

    Args:
        url: Of the server; it must be empty.
        beats: How many are taken together.
        many: Of the workers that are registered.
        messages: How many stand in a queue while its memory is counted.
        turns: How often each of the things is done that candidates for the lead do.
    """
    with TaskMesh(MESH, nodes=[url], key=secrets.token_hex(32)) as mesh:
        task = mesh.task(_nothing)
        empty = _memory(url)
        task.starmap([(number,) for number in range(messages)])
        per_message = (_memory(url) - empty) / messages
        few_us, few_bytes = _beats(mesh, url, range(FEW), beats)
        many_us, many_bytes = _beats(mesh, url, range(FEW, many), beats)
        candidates = _candidates(mesh, url, turns)
    apart = many - FEW
    return {
        "beat_us": few_us - FEW * (many_us - few_us) / apart,
        "beat_per_worker_us": (many_us - few_us) / apart,
        "beat_bytes": few_bytes - FEW * (many_bytes - few_bytes) / apart,
        "beat_per_worker_bytes": (many_bytes - few_bytes) / apart,
        "message_bytes": per_message,
        "connection_bytes": _per_connection(url),
        **candidates,
    }


def _candidates(mesh: TaskMesh, url: str, turns: int) -> dict[str, float]:
    """Return CPU time in µs of what candidates do: say that they stand by, ask whether they are to, look who leads."""
    agreement, session = mesh.agreement, mesh.link.session
    first, *others = [
        Candidate(f"{at:016x}", f"worker-{at}", f"host-{at}:12345") for at in range(STAND_BY_MAX + 2)
    ]
    elected = bid(first, Leader().mark, now_ms=mesh.link.clock.now_ms())
    agreement.run(agreement.registers.change(REGISTER, elected, agreement.operation()))
    for each in (first, *others[1:]):
        mesh.link.run(tell(session, each, leads=each is first))
    last, chance = others[0], Random(1).random

    def each_us(do: Callable[[], object]) -> float:
        cpu_s = resp.server_cpu_seconds(url)
        for _ in range(turns):
            do()
        return 1e6 * (resp.server_cpu_seconds(url) - cpu_s) / turns

    return {
        "stand_back_us": each_us(
            lambda: mesh.link.run(is_needed(session, last, chance, has_told=False)),
        ),
        "stand_by_us": each_us(lambda: mesh.link.run(tell(session, last, leads=False))),
        "look_us": each_us(lambda: agreement.run(agreement.registers.read(REGISTER))),
    }


def _beats(mesh: TaskMesh, url: str, numbers: range, count: int) -> tuple[float, float]:
    """Register workers; return CPU time in µs and bytes of the answer of one beat beside all of them."""
    session = mesh.link.session
    for number in numbers:
        mesh.link.run(register(session, b"%016x" % number, _INFO))
    cpu_s, sent = resp.server_cpu_seconds(url), _sent(url)
    for _ in range(count):
        # all of them at once: so it shows what reading one more costs
        mesh.link.run(beat(session, b"%016x" % numbers[0], watched=numbers.stop))
    return (
        1e6 * (resp.server_cpu_seconds(url) - cpu_s) / count,
        (_sent(url) - sent) / count,
    )


def _sent(url: str) -> int:
    return int(resp.info(url, "stats")["total_net_output_bytes"])


def _memory(url: str) -> int:
    return int(resp.info(url, "memory")["used_memory"])


def _per_connection(url: str) -> float:
    before = _memory(url)
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            connection = stack.enter_context(resp.connect(url))
            connection.sendall(b"*1\r\n$4\r\nPING\r\n")
            connection.recv(16)
        return (_memory(url) - before) / CONNECTIONS


def tables(sizes: Sequence[tuple[int, int]] = TABLES) -> list[dict[str, float]]:
    """Return of tables how long the leader reckons when one more node joins, in seconds of CPU."""
    found = []
    for slots, count in sizes:
        nodes = [RingNode(f"n{at}") for at in range(count)]
        table = propose(slots, nodes, 3)
        began = time.process_time()
        propose(slots, [*nodes, RingNode("new")], 3, table)
        found.append({"slots": slots, "nodes": count, "propose_s": rounded(time.process_time() - began)})
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.costs", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--json", type=Path, default=COSTS, metavar="FILE", help="where the figures go")
    args = parser.parse_args(argv)
    with Server() as server:
        costs = {name: rounded(value) for name, value in measure(server.url).items()}
        version = resp.server_version(server.url)
    document = {"machine": machine.describe(), "server": version, "costs": costs, "tables": tables()}
    args.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
