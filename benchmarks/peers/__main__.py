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
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.app import FOLDER_VARIABLE, URL_VARIABLE
from benchmarks.harness import machine, resp, running
from benchmarks.harness.processes import adopt_orphans
from benchmarks.peers import environments, report
from benchmarks.peers.catalogue import MEASURES, Variant, find
from benchmarks.rows.model import ROOT
from benchmarks.servers import EMBEDDED, Server, find_program

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
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
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
    variant: Variant, measure: str, n: int, args: argparse.Namespace, log: Path
) -> dict[str, Any]:
    """Take one measure in a fresh process of the peer's environment against a fresh server."""
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
        if variant.peer == environments.OWN:
            environ["TASKMESH_KEY"] = secrets.token_hex(32)
        found = running.run_process(command, cwd=ROOT, environ=environ, log=log, timeout_s=4 * args.cap + 120)
        return {**found, "server": resp.server_version(server.url)}


def measure_all(args: argparse.Namespace, log: Path) -> list[dict[str, Any]]:
    """Take every measure of every variant, and return what was found, one entry each."""
    failed: dict[str, str] = {}
    for peer in dict.fromkeys(variant.peer for variant in args.variants):
        try:
            environments.prepare(peer)
        except environments.CannotInstall as error:
            failed[peer] = str(error)
    taken: list[dict[str, Any]] = []
    for turn in range(args.repetitions):
        for measure in args.measure:
            for variant in args.variants:
                if measure not in variant.measures:
                    continue
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
                    f"[{turn + 1}] {time.monotonic() - began:5.1f}s {variant.name:20} {measure:9} "
                    f"{report.brief(found)}",
                    file=sys.stderr,
                    flush=True,
                )
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
    taken = measure_all(args, log)
    document = {
        "started": started,
        "machine": machine.describe(),
        "server": next((found["server"] for found in taken if "server" in found), ""),
        "server_program": Path(args.server).name,
        "quick": args.quick,
        "workers": args.workers,
        "variants": {
            variant.name: {"note": variant.note, "versions": environments.versions(variant.peer)}
            for variant in args.variants
        },
        "rows": report.summarised(taken),
    }
    report.show(document)
    if args.json:
        args.json.write_text(report.as_json(document))
    failed = [f"{row['variant']} {row['measure']}" for row in document["rows"] if "error" in row]
    if failed:
        print(f"not measured: {', '.join(failed)}; see {log}", file=sys.stderr)
        return 1
    log.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
