"""`python -m benchmarks.mesh`: cost of a task by nodes and copies, time of a loss, and what a join and a leave move."""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness import machine
from benchmarks.harness.figures import percentile, rounded
from benchmarks.mesh.scene import Scene, wait
from taskmesh.core.ids import routing_of, slot_of
from taskmesh.errors import TaskMeshError
from taskmesh.ring.table import moved

KINDS = [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3), (5, 1), (5, 2), (5, 3)]
#: How long the progress after a loss is waited for.
LOSS_S = 30.0


def cost(nodes: int, replicas: int, tasks: int, trips: int) -> dict[str, Any]:
    """Measure what a task costs: commands, bytes and CPU, and how long it takes."""
    with Scene(nodes, replicas) as scene:
        for _ in range(20):
            scene.add.delay(1, 2).get(timeout=30)
        took_ms = []
        for _ in range(trips):
            began_s = time.monotonic()
            scene.add.delay(1, 2).get(timeout=30)
            took_ms.append((time.monotonic() - began_s) * 1000)
        idle = _over(scene, lambda: time.sleep(2.0))
        began_s = time.monotonic()
        spent = _over(scene, lambda: scene.add.starmap([(i, i) for i in range(tasks)]).get(timeout=300))
        seconds = time.monotonic() - began_s
    took_ms.sort()
    per_task = {
        name: rounded(max(0.0, value - idle[name] / 2.0 * seconds) / tasks) for name, value in spent.items()
    }
    return {
        "nodes": nodes,
        "replicas": replicas,
        "tasks_per_s": rounded(tasks / seconds),
        "trip_p50_ms": rounded(percentile(took_ms, 50)),
        "trip_p99_ms": rounded(percentile(took_ms, 99)),
        "commands": per_task["commands"],
        "bytes": per_task["bytes"],
        "server_cpu_us": rounded(per_task["server_cpu_s"] * 1e6),
        "worker_cpu_us": rounded(per_task["worker_cpu_s"] * 1e6),
        "client_cpu_us": rounded(per_task["client_cpu_s"] * 1e6),
    }


def _over(scene: Scene, what: Any) -> dict[str, float]:
    before = scene.counted()
    what()
    return {name: value - before[name] for name, value in scene.counted().items()}


def losses(count: int, live: int) -> dict[str, Any]:
    """Kill primaries, one after the other, and measure until something is accepted again in their slots."""
    took_s, back_s = [], []
    with Scene(3, 3) as scene:
        if live:
            # they wait for an hour: live records, which a new primary has to find
            _delayed(scene, live)
        for number in range(count):
            lost = scene.nodes[number % 3]
            member = next(each for each in scene.view.members if each.address == lost.url)
            slots = set(scene.view.led_by(member.id))
            lost.kill()
            began_s = time.monotonic()
            _accepted_in(scene, slots, began_s + LOSS_S)
            took_s.append(time.monotonic() - began_s)
            lost.start()
            began_s = time.monotonic()
            wait(lambda: _is_whole(scene), "a whole view", 60)
            back_s.append(time.monotonic() - began_s)
            print(
                f"loss {number + 1}: {took_s[-1]:.2f} s; whole again after {back_s[-1]:.1f} s",
                file=sys.stderr,
            )
    took_s.sort()
    back_s.sort()
    return {
        "losses": count,
        "live_records": live,
        "progress_p50_s": rounded(percentile(took_s, 50)),
        "progress_p99_s": rounded(percentile(took_s, 99)),
        "progress_max_s": rounded(took_s[-1]),
        "whole_p50_s": rounded(percentile(back_s, 50)),
        "whole_max_s": rounded(back_s[-1]),
    }


def _delayed(scene: Scene, count: int) -> None:
    with scene.mesh.batch():
        for _ in range(count):
            scene.add.apply_async((1, 2), countdown=3600)


def _accepted_in(scene: Scene, slots: set[int], until_s: float) -> None:
    sender = scene.mesh.portal.sender
    slots_all = scene.mesh.link.session.slots
    while time.monotonic() < until_s:
        task_id = sender.new_id()
        if slot_of(routing_of(task_id), slots_all) not in slots:
            continue
        try:
            scene.add.apply_async((1, 2), task_id=task_id)
        except TaskMeshError:
            continue
        return
    raise RuntimeError(f"nothing was accepted within {LOSS_S:g} s")


def _is_whole(scene: Scene) -> bool:
    scene.add.delay(1, 2).get(timeout=30)
    view = scene.view
    return all(len(row) == 3 for row in view.table) and all(member.state == "up" for member in view.members)


def changes(records: int) -> dict[str, Any]:
    """Add a node and let it leave under load: what moves against the ideal, and what round trips take meanwhile."""
    with Scene(4, 3) as scene:
        _delayed(scene, records)
        trips = _Trips(scene)
        trips.start()
        time.sleep(5.0)
        before = trips.taken()
        old = scene.view
        new = scene.add_node()
        began_s = time.monotonic()
        scene.mesh.nodes.add(new.url)
        join_s = time.monotonic() - began_s
        during_join = trips.taken()
        joined = scene.view
        node = next(member.id for member in joined.members if member.address == new.url)
        began_s = time.monotonic()
        scene.mesh.nodes.remove(node)
        leave_s = time.monotonic() - began_s
        during_leave = trips.taken()
        left = scene.view
        trips.stop()
    copies = old.slots * 3
    return {
        "live_records": records,
        "join_s": rounded(join_s),
        "join_moved": moved(old.table, joined.table),
        "join_ideal": rounded(copies / 5),
        "leave_s": rounded(leave_s),
        "leave_moved": moved(joined.table, left.table),
        "leave_ideal": rounded(copies / 5),
        "trip_p99_before_ms": rounded(percentile(before, 99)),
        "trip_p99_join_ms": rounded(percentile(during_join, 99)),
        "trip_p99_leave_ms": rounded(percentile(during_leave, 99)),
    }


class _Trips(threading.Thread):
    """Makes round trips one after the other, and notes how long each takes."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(daemon=True)
        self._scene = scene
        self._over = threading.Event()
        self._took_ms: list[float] = []

    def run(self) -> None:
        while not self._over.wait(0.002):
            began_s = time.monotonic()
            self._scene.add.delay(1, 2).get(timeout=30)
            self._took_ms.append((time.monotonic() - began_s) * 1000)

    def taken(self) -> list[float]:
        """Return how long each took since the last time, sorted."""
        took, self._took_ms = self._took_ms, []
        return sorted(took)

    def stop(self) -> None:
        self._over.set()
        self.join()


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mesh", description=__doc__)
    parser.add_argument(
        "what", nargs="*", default=["cost", "losses", "changes"], help="cost, losses, changes"
    )
    parser.add_argument("--tasks", type=int, default=10_000, help="tasks of one cost (default 10,000)")
    parser.add_argument("--trips", type=int, default=500, help="round trips of one cost (default 500)")
    parser.add_argument("--losses", type=int, default=50, help="primaries to kill (default 50)")
    parser.add_argument("--live", type=int, default=100_000, help="live records meanwhile (default 100,000)")
    parser.add_argument("--quiet-wait", type=float, default=60, help="seconds to wait for a quiet machine")
    parser.add_argument("--json", type=Path, help="write the figures there, as they come")
    args = parser.parse_args(argv)
    if unknown := set(args.what) - {"cost", "losses", "changes"}:
        parser.error(f"{min(unknown)!r}: expected cost, losses or changes")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    """Measure."""
    args = parse(argv)
    document: dict[str, Any] = {
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
    }
    if args.json and args.json.exists():
        document = {**json.loads(args.json.read_text()), **document}

    def save(name: str, figures: Any) -> None:
        document[name] = figures
        print(name, json.dumps(figures, indent=1))
        if args.json:
            args.json.write_text(json.dumps(document, indent=1) + "\n")

    for what in args.what:
        machine.wait_until_quiet(args.quiet_wait)
        if what == "cost":
            save("cost", [cost(nodes, replicas, args.tasks, args.trips) for nodes, replicas in KINDS])
        elif what == "losses":
            save("losses", losses(args.losses, args.live))
        else:
            save("changes", changes(args.live))


if __name__ == "__main__":
    main()
