"""The parts of a mesh on the screen of `taskmesh top`: queues, workers, nodes, tasks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from taskmesh.cli.events import as_short
from taskmesh.cli.output import as_duration, as_size
from taskmesh.cli.top.state import PARTS, State
from taskmesh.cli.top.table import Column, Row, table_of

if TYPE_CHECKING:
    from rich.text import Text

    from taskmesh.cli.top.seen import NodeSeen, QueueSeen, Seen, WorkerSeen
    from taskmesh.cli.top.tally import TaskCount
    from taskmesh.cli.top.watching import Watching

#: Rows that each part has at least, as far as it has any.
LEAST = 3
#: A queue from which nothing came for so long, though something waits, stands still.
STILL_S = 5.0
#: Of a worker's heartbeat that is older it is said how old it is.
LATE_S = 9.0

QUEUES = (
    Column("queue", 0, "left"),
    Column("ready", 7),
    Column("run", 4),
    Column("idle", 4),
    Column("in/s", 6),
    Column("out/s", 6),
    Column("oldest", 11),
    Column("dead", 4),
    Column("", 16, "left"),
)
WORKERS = (
    Column("worker", 0, "left"),
    Column("children", 8),
    Column("run", 4),
    Column("ended", 9),
    Column("memory", 9),
    Column("longest run", 26, "left"),
)
NODES = (
    Column("node", 6, "left"),
    Column("address", 0, "left"),
    Column("leads", 6),
    Column("memory", 20),
    Column("state", 20, "left"),
)
TASKS = (
    Column("task", 0, "left"),
    Column("runs", 7),
    Column("failed", 6),
    Column("crashed", 7),
    Column("mean", 7),
    Column("longest", 7),
    Column("last error", 16, "left"),
)


def parts_of(watching: Watching, seen: Seen, state: State, width: int, height: int) -> list[Text]:
    """Return the lines of all parts; which queues there are, and how many rows each part has, is noted in the state."""
    queues = ordered(seen)
    made: dict[str, tuple[Sequence[Column], list[Row]]] = {
        "queues": (QUEUES, [_queue(watching, queue) for queue in queues]),
        "workers": (WORKERS, [_worker(worker) for worker in seen.workers]),
        "nodes": (NODES, [_node(node) for node in seen.nodes]),
        "tasks": (TASKS, [_task(task) for task in watching.tally.tasks()]),
    }
    state.drawn([queue.name for queue in queues])
    state.rows = {part: len(made[part][1]) for part in PARTS}
    for part in PARTS:
        state.at[part] = max(0, min(state.at[part], state.rows[part] - 1))
    room = shares([state.rows[part] for part in PARTS], height - len(PARTS))
    lines: list[Text] = []
    for part, most in zip(PARTS, room, strict=True):
        columns, rows = made[part]
        lines += table_of(columns, rows, width, most, state.at[part], is_chosen=part == state.part)
    return lines


def shares(wanted: Sequence[int], room: int) -> list[int]:
    """Return how many rows each part gets: all that it wants if that fits, else a few of it, the rest in turns."""
    given = [min(want, LEAST) for want in wanted]
    while sum(given) > max(0, room):
        given[given.index(max(given))] -= 1
    while sum(given) < room and any(have < want for have, want in zip(given, wanted, strict=True)):
        for at, want in enumerate(wanted):
            if given[at] < want and sum(given) < room:
                given[at] += 1
    return given


def ordered(seen: Seen) -> list[QueueSeen]:
    """Return the queues, those with most that waits first."""
    return sorted(seen.queues, key=lambda queue: (-queue.ready, queue.name))


def _rate(rate: float | None) -> str:
    if rate is None:
        return ""
    return f"{rate:.1f}" if rate < 1000 else f"{rate:,.0f}"


def note_of(queue: QueueSeen, out: float | None) -> tuple[str, str]:
    """Return what is to be said of a queue, and in which style."""
    if queue.paused:
        return "paused", "yellow"
    if queue.ready and not queue.workers:
        return "nobody serves it", "bold red"
    if queue.ready and out == 0 and (queue.oldest_s or 0.0) > STILL_S:
        return "stands still", "bold red"
    return f"{queue.workers} worker{'' if queue.workers == 1 else 's'}", ""


def _queue(watching: Watching, queue: QueueSeen) -> Row:
    out = watching.ended.of(queue.name)
    note, style = note_of(queue, out)
    return (
        queue.name,
        f"{queue.ready:,}",
        str(queue.running),
        str(queue.idle),
        _rate(watching.came.of(queue.name)),
        _rate(out),
        as_duration(queue.oldest_s) if queue.oldest_s is not None else "",
        f"{queue.dead:,}" if queue.dead else "",
        note,
    ), style


def _worker(worker: WorkerSeen) -> Row:
    longest = f"{as_duration(worker.longest[1])} {worker.longest[0]}" if worker.longest else ""
    is_late = worker.beat_age_s is not None and worker.beat_age_s > LATE_S
    if worker.state != "live":
        longest = f"declared {worker.state}"
    elif is_late and worker.beat_age_s is not None:
        longest = f"no heartbeat for {as_duration(worker.beat_age_s)}"
    size = as_size(worker.rss_bytes) if worker.rss_bytes else ""
    cells = (worker.name, str(worker.children), str(worker.running), f"{worker.ended:,}", size, longest)
    return cells, "bold red" if worker.state != "live" or is_late else ""


def _node(node: NodeSeen) -> Row:
    memory = as_size(node.memory_used) if node.memory_used else ""
    if node.memory_limit:
        memory += f" of {as_size(node.memory_limit)}"
    cells = (
        node.name or "node",
        node.address,
        f"{node.slots:,}" if node.slots else "",
        memory,
        f"{node.state}{', ' + node.server if node.server else ''}",
    )
    return cells, "" if node.state == "up" else "bold red"


def _task(task: TaskCount) -> Row:
    cells = (
        task.name,
        f"{task.runs:,}",
        f"{task.failed:,}" if task.failed else "",
        f"{task.crashed:,}" if task.crashed else "",
        as_short(task.mean_s) if task.runs else "",
        as_short(task.longest_s) if task.runs else "",
        task.error,
    )
    return cells, "red" if task.bad else ""
