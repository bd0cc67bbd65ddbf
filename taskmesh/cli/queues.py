"""`taskmesh queues`: what waits in each queue, and who serves it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from taskmesh.cli.group import ending
from taskmesh.cli.looking import ONE_IS_ENOUGH, looking, silence
from taskmesh.cli.output import facts, json_option, print_json, show, table
from taskmesh.cli.target import Target, target_options
from taskmesh.cli.worker_list import WorkerFacts, serving, workers_of
from taskmesh.core.state import FINAL, LETTER
from taskmesh.queue.dead import dead_queues
from taskmesh.queue.manage import Status
from taskmesh.queue.manage import status as count
from taskmesh.queue.setting import operated

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from taskmesh.nodes.look import Look

#: Dead letters are counted queue by queue up to so many on each node.
DEAD_COUNTED_MAX = 2000
#: The columns of numbers.
_NUMBERS = ("ready", "blocked", "idle children", "succeeded", "failed", "dead")


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One queue.

    Attributes:
        name: Its name.
        ready: Messages that wait for a worker.
        idle: Children that wait for a message.
        workers: Names of the live workers that serve it.
        ended: State -> how many of its messages reached it.
        paused: Whether nothing of it is begun until it is resumed.
        blocked: Messages that wait for their turn in a sequence.
        weight: Its weight beside other queues, if an operator has set one.
        dead: Dead letters that are there now.
        is_whole: Whether these are all; else there are so many of those that were looked at, the newest of the mesh.
    """

    name: str
    ready: int
    idle: int
    workers: tuple[str, ...]
    ended: dict[str, int]
    paused: bool
    blocked: int
    weight: int | None
    dead: int = 0
    is_whole: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return the row for programs."""
        return {
            "queue": self.name,
            "paused": self.paused,
            "weight": self.weight,
            "ready": self.ready,
            "blocked": self.blocked,
            "dead": self.dead if self.is_whole else None,
            "dead_at_least": self.dead,
            "idle_children": self.idle,
            "workers": list(self.workers),
            "totals": self.ended,
        }


@dataclass(frozen=True, slots=True)
class DeadCount:
    """How many dead letters each queue has now.

    Attributes:
        queues: Queue -> how many of those that were looked at.
        is_whole: Whether these are all; else there are so many at least.
    """

    queues: Mapping[str, int]
    is_whole: bool = True


def dead_now(look: Look, *, most: int = DEAD_COUNTED_MAX) -> DeadCount:
    """Count the dead letters that are there now by queue, on all nodes that answer.

    Args:
        look: By which nodes are asked.
        most: Of each node so many are looked at.
    """
    letters: dict[str, str] = {}
    is_whole = True
    for _, (total, there) in look.ask_each(lambda: dead_queues(look.link.session, most)):
        letters |= there
        is_whole = is_whole and total <= most
    return DeadCount(Counter(letters.values()), is_whole)


def queue_rows(
    counted: Status, workers: Sequence[WorkerFacts], weights: Mapping[str, int], dead: DeadCount
) -> list[QueueRow]:
    """Return every queue that ever held a message, and those that are served, paused or weighed."""
    names = {
        *counted.queues,
        *counted.paused,
        *weights,
        *(queue for worker in workers for queue in worker.queues),
    }
    return [
        QueueRow(
            name=name,
            ready=counted.queues.get(name, 0),
            idle=counted.idle.get(name, 0),
            workers=tuple(worker.name for worker in serving(workers, name)),
            ended={
                state.value: counted.stats.get((name, LETTER[state].decode()), 0) for state in sorted(FINAL)
            },
            paused=name in counted.paused,
            blocked=counted.blocked.get(name, 0),
            weight=weights.get(name),
            dead=dead.queues.get(name, 0),
            is_whole=dead.is_whole,
        )
        for name in sorted(names)
    ]


def queue_table(rows: Sequence[QueueRow]) -> RenderableType:
    """Return the queues as a table, in which only lists of workers are broken; where it does not fit, a line for each.

    Weights are shown where one was set.
    """
    from taskmesh.cli.fitting import Fitting

    weighed = any(row.weight is not None for row in rows)
    numbers = [*(["weight"] if weighed else []), *_NUMBERS]
    columns = ["queue", *numbers, "workers"]
    cells = [(_called(row), *([row.weight] if weighed else []), *_counts(row)) for row in rows]
    served = [", ".join(row.workers) or "nobody" for row in rows]
    longest = [max(names.split(), key=len) for names in served]

    def made(workers: Sequence[str]) -> Table:
        some = [(*each, who) for each, who in zip(cells, workers, strict=True)]
        return table("queues", columns, some, numbers=numbers, whole=columns[:-1])

    lines = facts("queues", [(_called(row), _in_words(row)) for row in rows])
    return Fitting(made(served), lines, least=made(longest))


def _called(row: QueueRow) -> str:
    return f"{row.name} (paused)" if row.paused else row.name


def _counts(row: QueueRow) -> tuple[int | str, ...]:
    """Return what the columns of numbers show of a queue."""
    dead = row.dead if row.is_whole else f"{row.dead:,} or more"
    return row.ready, row.blocked, row.idle, row.ended["SUCCESS"], row.ended["FAILURE"], dead


def _in_words(row: QueueRow) -> str:
    counts = zip(_NUMBERS, _counts(row), strict=True)
    said = [
        f"{each:,} {name}" if isinstance(each, int) else f"{each} {name}"
        for name, each in counts
        if each or name == "ready"
    ]
    weight = [f"weight {row.weight}"] if row.weight is not None else []
    who = f"served by {', '.join(row.workers)}" if row.workers else "nobody serves it"
    return f"{', '.join([*said, *weight])}; {who}"


@click.command(
    epilog=ending(
        examples=["taskmesh queues -A app:mesh", "taskmesh queues --mesh shop --json"],
        codes=[ONE_IS_ENOUGH, "1 no node can be reached, or there is no such mesh"],
    )
)
@target_options()
@json_option
def queues(*, target: Target, json_wanted: bool) -> None:
    """Show the queues: what waits in each, and who serves it.

    A queue exists as soon as a message was sent to it or a worker serves it. What succeeded and failed is counted since
    the mesh was made; `dead` are the dead letters that are there now, as in `taskmesh dead list`. Of a mesh with more
    than 2,000 of them the newest are counted, and there may be more.
    """
    mesh = target.look()
    session = mesh.link.session
    with looking(mesh) as look:
        counted = look.run(count(session))
        weights = look.run(operated(session)).weights
        dead = dead_now(look)
    rows = queue_rows(counted, workers_of(counted), weights, dead)
    if json_wanted:
        print_json([row.as_json() | silence(look) for row in rows])
    elif rows:
        show(queue_table(rows))
    else:
        show(f"mesh {mesh.name} has no queues yet: nothing was sent to it")
