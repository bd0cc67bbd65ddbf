"""`python -m benchmarks.brokers`: TaskMesh with RabbitMQ beside Celery and Dramatiq on the same RabbitMQ, in one run.

One RabbitMQ of Debian's package (`rabbitmq-server`) is started, on this machine; each repetition has a virtual host of
its own on it, a fresh server for results (TaskMesh: for its records), and fresh processes. Repetitions go round all
of them. Each is run as its documents say: TaskMesh publishes persistent tickets to a quorum queue and waits for the
confirms, and records each message on its node; Celery and Dramatiq publish each message to a classic durable
queue, and wait for no confirm.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness import keeping, machine, resp, running
from benchmarks.harness.processes import adopt_orphans
from benchmarks.peers import environments, report
from benchmarks.peers.__main__ import QUICK_N, measure_once
from benchmarks.peers.catalogue import Variant
from benchmarks.servers import EMBEDDED, Server, find_program
from tests.rabbitmq import RabbitMQ

FIGURES = Path(__file__).parent / "results" / "brokers.json"
MEASURES = ("enqueue", "drain", "e2e", "latency")
VARIANTS = (
    Variant(
        "TaskMesh", "taskmesh", "2 worker processes; every message signed and recorded on a node", share=5
    ),
    Variant("Celery", "celery", "prefork pool of 2, JSON", share=0.25),
    Variant("Dramatiq", "dramatiq", "2 processes of 8 threads", share=0.5),
)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.brokers", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--measure", action="append", default=[], choices=MEASURES, help="again for more")
    parser.add_argument("--quick", action="store_true", help="small sizes, once, not written to results/")
    parser.add_argument("--repetitions", type=int, default=3, metavar="N", help="(default 3)")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default 2)")
    parser.add_argument("--quiet-wait", type=float, default=60, metavar="S", help="for a quiet machine (60)")
    parser.add_argument("--cap", type=float, default=60, metavar="S", help="longest a rate is measured (60)")
    args = parser.parse_args(argv)
    args.server = find_program(EMBEDDED)
    args.measure = args.measure or list(MEASURES)
    if args.quick:
        args.repetitions, args.quiet_wait = 1, 0
    return args


def measure_all(args: argparse.Namespace, server: RabbitMQ, log: Path) -> list[dict[str, Any]]:
    """Take the measures, and return what was found, one entry each."""
    taken = []
    for turn in range(args.repetitions):
        for at, (measure, variant) in enumerate((m, v) for m in args.measure for v in VARIANTS):
            n = variant.size(measure, QUICK_N[measure] if args.quick else None)
            began_s = time.monotonic()

            def once(
                measure: str = measure, variant: Variant = variant, n: int = n, name: str = f"{turn}-{at}"
            ) -> dict[str, Any]:
                vhost = f"bench-{name}-{time.monotonic_ns()}"
                broker = server.add_vhost(vhost)
                try:
                    return measure_once(variant, measure, n, args, log, broker=broker)
                finally:
                    server.delete_vhost(vhost)

            found = running.at_a_quiet_moment(once, args.quiet_wait)
            taken.append({"variant": variant.name, "measure": measure, "n": n, **found})
            took = f"[{turn + 1}] {time.monotonic() - began_s:5.1f}s {variant.name:20} {measure:9}"
            print(f"{took} {report.brief(found)}", file=sys.stderr, flush=True)
    return taken


def describe(args: argparse.Namespace, server: RabbitMQ) -> dict[str, Any]:
    """Return what the figures were taken with."""
    with Server(args.server, tcp=True) as node:
        version = resp.server_version(node.url)
    rabbit = server.do("rabbit_misc:version().").strip('"')
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "server": f"{version}, RabbitMQ {rabbit}",
        "workers": args.workers,
        "variants": {
            variant.name: {"note": variant.note, "versions": environments.versions(variant.peer)}
            for variant in VARIANTS
        },
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, show and write."""
    args = parse(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    for variant in VARIANTS:
        environments.prepare(variant.peer)
    handle, name = tempfile.mkstemp(prefix="bench-log-")
    os.close(handle)
    with tempfile.TemporaryDirectory(prefix="bench-rabbitmq-") as folder:
        server = RabbitMQ(Path(folder))
        try:
            server.start()
            document = describe(args, server)
            adopt_orphans()
            document["rows"] = report.summarised(measure_all(args, server, Path(name)))
        finally:
            server.close()
    report.show(document, compared=False)
    for measure in ("drain", "e2e"):
        own = report.figure(document, "TaskMesh", measure, "rate")
        for variant in VARIANTS[1:]:
            other = report.figure(document, variant.name, measure, "rate")
            if own and other:
                print(f"{measure} / {variant.name}'s over RabbitMQ: {own / other:.2f} (target: above 1)")
    if not args.quick:
        FIGURES.write_text(keeping.as_json(document))
    failed = [f"{row['variant']} {row['measure']}" for row in document["rows"] if "error" in row]
    if failed:
        print(f"not measured: {', '.join(failed)}; see {name}", file=sys.stderr)
        return 1
    Path(name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
