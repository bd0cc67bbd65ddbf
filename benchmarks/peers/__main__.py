"""`python -m benchmarks.peers`: TaskMesh beside Celery, Dramatiq, Huey, Taskiq, RQ, arq, SAQ and taskito.

Each measure runs in a fresh process of the peer's own environment against a fresh server. Repetitions go round all
variants, so that the moods of the machine are spread.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.app import BROKER_VARIABLE, FOLDER_VARIABLE, URL_VARIABLE
from benchmarks.harness import keeping, machine, resp, running
from benchmarks.harness.processes import adopt_orphans
from benchmarks.peers import environments, report
from benchmarks.peers.catalogue import MEASURES, VARIANTS, Variant, find
from benchmarks.rows.model import ROOT
from benchmarks.servers import EMBEDDED, Server, find_program

#: A measure of a variant.
Step = tuple[str, Variant]

QUICK_N = {"enqueue": 300, "drain": 200, "e2e": 200, "latency": 20, "footprint": 1}


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="PEER", help="a peer or variant; again for more"
    )
    parser.add_argument(
        "--measure", action="append", default=[], choices=MEASURES, help="again for more (default: all)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, one repetition, no waiting for a quiet machine"
    )
    parser.add_argument("--repetitions", type=int, default=3, metavar="N", help="(default 3)")
    parser.add_argument("--n", type=int, help="tasks of every measure, instead of its own number")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default 2)")
    parser.add_argument(
        "--server",
        default=EMBEDDED,
        metavar="PROGRAM",
        help="a server program, such as redis-server (default: that of the embedded node)",
    )
    parser.add_argument(
        "--quiet-wait",
        type=float,
        default=60,
        metavar="S",
        help="how long to wait for a quiet machine before each measure (default 60)",
    )
    parser.add_argument(
        "--cap",
        type=float,
        default=60,
        metavar="S",
        help="longest a rate is measured; slower ones are marked (default 60)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, as they come")
    parser.add_argument(
        "--again",
        action="store_true",
        help="only what --json FILE lacks, or what others disturbed; the rest of it stays",
    )
    args = parser.parse_args(argv)
    try:
        args.variants = find(args.only)
        args.server = find_program(args.server)
    except KeyError as error:
        parser.error(f"--only {error.args[0]!r}: no such peer or variant")
    except FileNotFoundError as error:
        parser.error(str(error))
    args.measure = args.measure or list(MEASURES)
    if args.quick:
        args.repetitions, args.quiet_wait = 1, 0
    return args


def measure_once(
    variant: Variant, measure: str, n: int, args: argparse.Namespace, log: Path, *, broker: str = ""
) -> dict[str, Any]:
    """Take one measure in a fresh process of the peer's environment against a fresh server.

    Args:
        variant: Of which peer.
        measure: Its name.
        n: How many tasks.
        args: The command line.
        log: Where workers write.
        broker: Address of RabbitMQ; the server alone if empty.
    """
    python = environments.python_of(variant.peer)
    order = {"n": n, "cap": args.cap, "log": str(log), "workers": args.workers}
    command = [str(python), "-m", "benchmarks.peers.measure", variant.peer, measure, json.dumps(order)]
    with running.scratch() as (folder, stamps), Server(args.server, tcp=True) as server:
        environ = running.clean_environ(**running.stamps_environ(stamps), PYTHONPATH=str(ROOT))
        environ |= {
            "PATH": f"{python.parent}{os.pathsep}{environ.get('PATH', os.defpath)}",
            URL_VARIABLE: server.url,
            FOLDER_VARIABLE: str(folder),
            "BENCH_OPTIONS": json.dumps(variant.options),
        }
        if broker:
            environ[BROKER_VARIABLE] = broker
        if variant.peer == environments.OWN:
            environ["TASKMESH_KEY"] = secrets.token_hex(32)
        return running.run_process(command, cwd=ROOT, environ=environ, log=log, timeout_s=4 * args.cap + 120)


def measure_all(
    args: argparse.Namespace, steps: Sequence[Step], log: Path, save: Callable[[list[dict[str, Any]]], None]
) -> list[dict[str, Any]]:
    """Take the measures, and return what was found, one entry each.

    Args:
        args: The command line.
        steps: What to measure.
        log: Where workers write.
        save: Called after each with everything found so far.
    """
    failed: dict[str, str] = {}
    for peer in dict.fromkeys(variant.peer for _, variant in steps):
        try:
            environments.prepare(peer)
        except environments.CannotInstall as error:
            failed[peer] = str(error)
    taken: list[dict[str, Any]] = []
    for turn in range(args.repetitions):
        for measure, variant in steps:
            n = variant.size(measure, args.n or (QUICK_N[measure] if args.quick else None))
            found: dict[str, Any] = {"error": failed.get(variant.peer, "")}
            began = time.monotonic()
            if not found["error"]:
                found = running.at_a_quiet_moment(
                    lambda: measure_once(variant, measure, n, args, log),  # noqa: B023 - called at once
                    args.quiet_wait,
                )
            taken.append({"variant": variant.name, "measure": measure, "n": n, **found})
            print(
                f"[{turn + 1}] {time.monotonic() - began:5.1f}s {variant.name:20} {measure:9} {report.brief(found)}",
                file=sys.stderr,
                flush=True,
            )
            save(taken)
    return taken


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, show and write."""
    args = parse(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    adopt_orphans()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    handle, name = tempfile.mkstemp(prefix="bench-log-")
    os.close(handle)
    log = Path(name)
    earlier = keeping.earlier_rows(args.json) if args.again else []
    sound = {(row["measure"], row["variant"]) for row in earlier if keeping.is_sound(row)}
    steps = [
        (measure, variant)
        for measure in args.measure
        for variant in args.variants
        if measure in variant.measures and (measure, variant.name) not in sound
    ]
    with Server(args.server, tcp=True) as server:
        version = resp.server_version(server.url)
    document: dict[str, Any] = {
        "started": started,
        "machine": machine.describe(),
        "server": version,
        "server_program": Path(args.server).name,
        "quick": args.quick,
        "workers": args.workers,
        "variants": {
            variant.name: {"note": variant.note, "versions": environments.versions(variant.peer)}
            for variant in (VARIANTS if args.again else args.variants)
        },
    }

    def save(taken: list[dict[str, Any]]) -> None:
        fresh = report.summarised(taken)
        document["rows"] = keeping.merged(earlier, fresh, key=lambda row: (row["measure"], row["variant"]))
        if args.json:
            args.json.write_text(keeping.as_json(document))

    save(measure_all(args, steps, log, save))
    report.show(document)
    failed = [f"{row['variant']} {row['measure']}" for row in document["rows"] if "error" in row]
    if failed:
        print(f"not measured: {', '.join(failed)}; see {log}", file=sys.stderr)
        return 1
    log.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
