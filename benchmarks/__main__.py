"""`python -m benchmarks`: measure every row of the budget on this machine."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.app import FOLDER_VARIABLE, URL_VARIABLE
from benchmarks.harness import keeping, machine, resp, running
from benchmarks.harness.processes import adopt_orphans
from benchmarks.rows.budget import BUDGET
from benchmarks.rows.model import ROOT, Measurement
from benchmarks.servers import EMBEDDED, Server, find_program

#: `--quick` looks whether everything runs; its figures are only a hint.
QUICK_REPETITIONS = 1


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    names = [item.name for item in BUDGET]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="ROW",
        help=f"of {', '.join(names)}, or the name of a row; again for more",
    )
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, one repetition, no waiting for a quiet machine"
    )
    parser.add_argument("--repetitions", type=int, metavar="N", help="instead of each row's own number")
    parser.add_argument("--n", type=int, help="tasks (or samples), instead of each row's own number")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default 2)")
    parser.add_argument(
        "--server",
        default=EMBEDDED,
        metavar="PROGRAM",
        help="a server program, such as redis-server (default: the embedded node)",
    )
    parser.add_argument(
        "--quiet-wait",
        type=float,
        default=60,
        metavar="S",
        help="how long to wait for a quiet machine before each repetition (default 60)",
    )
    parser.add_argument(
        "--cap", type=float, default=600, metavar="S", help="longest a repetition may take (default 600)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, as they come")
    parser.add_argument(
        "--again",
        action="store_true",
        help="only what --json FILE lacks, or what others disturbed; the rest of it stays",
    )
    parser.add_argument("--list", action="store_true", help="list the rows and stop")
    args = parser.parse_args(argv)
    known = {name for item in BUDGET for name in (item.name, *(row.name for row in item.rows.values()))}
    unknown = set(args.only) - known
    if unknown:
        parser.error(f"unknown row {min(unknown)!r}; there are: {', '.join(sorted(known))}")
    try:
        args.server = find_program(args.server)
    except FileNotFoundError as error:
        parser.error(str(error))
    return args


def chosen(only: Sequence[str], sound: Collection[str] = ()) -> list[Measurement]:
    """Return the measurements that give the named rows (all if none is named), unless all of theirs are sound."""
    return [
        item
        for item in BUDGET
        if (not only or item.name in only or any(row.name in only for row in item.rows.values()))
        and not all(row.name in sound for row in item.rows.values())
    ]


def measure_once(item: Measurement, args: argparse.Namespace, log: Path) -> dict[str, Any]:
    """Run one repetition in a fresh process against a fresh server."""
    n = args.n or (item.quick_n if args.quick else item.n)
    options = {"settle_s": 0.2, "idle_s": 0.5, "times_few": 2} if args.quick else {}
    order = {
        "n": n,
        "workers": args.workers,
        "log": str(log),
        "options": {k: v for k, v in options.items() if k in item.options},
    }
    command = [sys.executable, "-m", "benchmarks.one", item.name, json.dumps(order)]
    with running.scratch() as (folder, stamps):
        environ = running.clean_environ(**running.stamps_environ(stamps))
        environ[FOLDER_VARIABLE] = str(folder)
        environ["TASKMESH_KEY"] = secrets.token_hex(32)
        if not item.durability:
            return running.run_process(command, cwd=ROOT, environ=environ, log=log, timeout_s=args.cap)
        with Server(args.server, durability=item.durability) as server:
            environ[URL_VARIABLE] = server.url
            found = running.run_process(command, cwd=ROOT, environ=environ, log=log, timeout_s=args.cap)
            return {**found, "server": resp.server_version(server.url)}


def measure_all(
    args: argparse.Namespace,
    items: Sequence[Measurement],
    log: Path,
    save: Callable[[list[dict[str, Any]]], None],
) -> list[dict[str, Any]]:
    """Take the repetitions, going round all rows so that the moods of the machine are spread.

    Args:
        args: The command line.
        items: What to measure.
        log: Where workers write.
        save: Called after each repetition with the rows so far.
    """
    taken: dict[str, list[dict[str, Any]]] = {item.name: [] for item in items}
    wanted = {
        item.name: args.repetitions or (QUICK_REPETITIONS if args.quick else item.repetitions)
        for item in items
    }
    for turn in range(max(wanted.values(), default=0)):
        for item in items:
            if turn >= wanted[item.name]:
                continue
            began = time.monotonic()
            quiet_s = 0 if args.quick else args.quiet_wait
            found = running.at_a_quiet_moment(lambda: measure_once(item, args, log), quiet_s)  # noqa: B023 - called at once
            taken[item.name].append(found)
            say = found.get("error") or found.get("skipped") or report.brief(found["values"])
            print(
                f"[{turn + 1}] {time.monotonic() - began:5.1f}s {item.name:24} {say} (others {found['foreign']:.2f})",
                file=sys.stderr,
                flush=True,
            )
            save(rows_of(args, items, taken))
    return rows_of(args, items, taken)


def rows_of(
    args: argparse.Namespace, items: Sequence[Measurement], taken: dict[str, list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Return the rows of what has been measured so far."""
    return [
        line
        for item in items
        if taken[item.name]
        for line in report.lines(item, taken[item.name], args.n or (item.quick_n if args.quick else item.n))
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, show and write."""
    args = parse(argv)
    if args.list:
        report.show_list(BUDGET)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    adopt_orphans()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    handle, name = tempfile.mkstemp(prefix="bench-log-")
    os.close(handle)
    log = Path(name)
    earlier = keeping.earlier_rows(args.json) if args.again else []
    document: dict[str, Any] = {
        "started": started,
        "machine": machine.describe(),
        "durability_on": machine.filesystem_of(Path(tempfile.gettempdir())),
        "server_program": Path(args.server).name,
        "versions": report.versions(),
        "quick": args.quick,
        "workers": args.workers,
    }

    def save(rows: list[dict[str, Any]]) -> None:
        order = [row.name for item in BUDGET for row in item.rows.values()]
        kept = keeping.merged(earlier, rows, key=lambda row: row["row"])
        document["rows"] = sorted(kept, key=lambda row: order.index(row["row"]))
        if args.json:
            args.json.write_text(keeping.as_json(document))

    sound = {row["row"] for row in earlier if keeping.is_sound(row)}
    rows = measure_all(args, chosen(args.only, sound), log, save)
    save(rows)
    report.show(document)
    failed = [row["row"] for row in rows if row.get("error")]
    if failed:
        print(f"not measured: {', '.join(failed)}; see {log}", file=sys.stderr)
        return 1
    log.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
