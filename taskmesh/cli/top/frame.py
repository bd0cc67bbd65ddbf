"""Draws `taskmesh top`: from what is known and chosen to lines that fit the screen. Pure; the terminal is another's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from rich.text import Text

from taskmesh.cli.events import as_short
from taskmesh.cli.output import as_duration, as_size, as_time
from taskmesh.cli.top.seen import QueueSeen
from taskmesh.cli.top.state import PARTS, State, View
from taskmesh.core.printable import in_one_line, printable

if TYPE_CHECKING:
    from taskmesh.cli.top.seen import Seen
    from taskmesh.cli.top.tally import TaskCount
    from taskmesh.cli.top.watching import Watching

#: What fits at least; a smaller screen shows a part of it.
WIDTH, HEIGHT = 80, 24
#: Rows that each part has at least, as far as it has any, and what is above and below all parts.
LEAST = 3
AROUND = 4
#: Of a look that is older it is said how old it is.
OLD_S = 3.0
#: A queue from which nothing came for so long, though something waits, stands still.
STILL_S = 5.0

HELP = """\
↑ ↓ j k    choose a row                 Tab   choose a part: queues, workers, nodes, tasks
p          pause the queue that is marked, or let it go on
d, Enter   the dead letters of the queue
Enter      one of them, with its story
r          send it again; y confirms
Esc, q     back; q at the top ends it
?          this

ready      wait for a worker             oldest  how long the first in line has waited
in, out    messages a second, over the last ten seconds: sent, and ended
tasks      since this was started, by events: which fail most, then which take longest
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, its width (0: what is left), and to which side its cells go."""

    title: str
    width: int = 0
    side: Literal["left", "right"] = "right"


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
LETTERS = (
    Column("died", 19, "left"),
    Column("task", 24, "left"),
    Column("crashes", 7),
    Column("reason", 0, "left"),
)
Cells = Sequence[str]
Row = tuple[Cells, str]


def frame(watching: Watching, state: State, now_s: float, width: int, height: int) -> list[Text]:
    """Return so many lines of so many columns.

    Args:
        watching: What is known.
        state: What is chosen; how many rows its parts have is noted in it.
        now_s: On the monotonic clock.
        width: Columns.
        height: Lines.
    """
    seen = watching.seen
    if state.view is View.HELP:
        body = [Text(line) for line in HELP.splitlines()]
    elif seen is None:
        body = [Text("reading the mesh …")]
    elif state.view is View.LETTERS:
        body = _letters(state, width, height - AROUND)
    elif state.view is View.STORY:
        body = _story(state)
    else:
        body = _parts(watching, seen, state, width, height - AROUND)
    lines = [*_head(watching, seen, now_s), *body[: height - AROUND]]
    lines += [Text("")] * (height - 2 - len(lines))
    lines += [_said(watching, state, now_s), _keys(state)]
    return [_fitted(line, width) for line in lines[:height]]


def _fitted(line: Text, width: int) -> Text:
    line = line.copy()
    line.truncate(width, overflow="ellipsis", pad=True)
    return line


# -- around the parts -----------------------------------------------------------------


def _head(watching: Watching, seen: Seen | None, now_s: float) -> list[Text]:
    clock = datetime.now(UTC).astimezone().strftime("%H:%M:%S")
    if seen is None:
        return [Text(f"taskmesh top  {clock}", "bold"), Text("")]
    first = Text(f"mesh {seen.mesh}  {clock}", "bold")
    first.append_text(_leader(watching))
    if seen.view:
        first.append(f"  view {seen.view}  copies missing ")
        first.append(f"{seen.missing:,}", "bold red" if seen.missing else "")
    age_s = now_s - seen.at_s
    if age_s > OLD_S:
        first.append(f"  {as_duration(age_s)} old", "bold red")
    totals = seen.totals
    second = Text(
        f"ready {sum(queue.ready for queue in seen.queues):,}  delayed {seen.delayed:,}  "
        f"running {sum(worker.running for worker in seen.workers):,}  parked {seen.parked:,}  dead "
    )
    second.append(f"{seen.dead:,}", "bold red" if seen.dead else "")
    second.append(f"  ended {totals.get('SUCCESS', 0):,} well, {totals.get('FAILURE', 0):,} failed")
    return [first, second]


def _leader(watching: Watching) -> Text:
    if watching.leader_trouble:
        return Text(in_one_line(f"  leader: not known ({watching.leader_trouble})"), "bold red")
    leader = watching.leader or watching.tally.leader
    return Text(f"  leader {leader or 'nobody'}", "" if leader else "yellow")


def _said(watching: Watching, state: State, now_s: float) -> Text:
    if state.asks:
        return Text(f"send {state.asks} again? y confirms, any other key does not", "bold yellow")
    if state.said:
        return Text(in_one_line(state.said), "bold")
    seen = watching.seen
    if watching.trouble and (seen is None or now_s - seen.at_s > OLD_S):
        return Text(in_one_line(f"the mesh does not answer: {watching.trouble}"), "bold red")
    if seen is not None and seen.problem:
        return Text(in_one_line(seen.problem), "bold red")
    gaps = watching.tally.gaps
    if not gaps:
        return Text("")
    often = "once" if gaps == 1 else f"{gaps:,} times"
    return Text(f"events were missed {often}: counts of tasks are too low", "yellow")


def _keys(state: State) -> Text:
    keys = {
        View.MESH: "Tab part  ↑↓ choose  p pause/resume  d dead letters  ? help  q quit",
        View.LETTERS: "↑↓ choose  Enter show  r send again  Esc back",
        View.STORY: "r send again  Esc back",
        View.HELP: "? back",
    }
    return Text(keys[state.view], "reverse")


# -- the parts --------------------------------------------------------------------------


def _parts(watching: Watching, seen: Seen, state: State, width: int, height: int) -> list[Text]:
    made: dict[str, tuple[Sequence[Column], list[Row]]] = {
        "queues": (QUEUES, [_queue(watching, queue) for queue in ordered(seen)]),
        "workers": (WORKERS, _workers(seen)),
        "nodes": (NODES, _nodes(seen)),
        "tasks": (TASKS, [_task(task) for task in watching.tally.tasks()]),
    }
    state.drawn([queue.name for queue in ordered(seen)])
    state.rows = {part: len(made[part][1]) for part in PARTS}
    for part in PARTS:
        state.at[part] = max(0, min(state.at[part], state.rows[part] - 1))
    room = shares([state.rows[part] for part in PARTS], height - len(PARTS))
    lines: list[Text] = []
    for part, most in zip(PARTS, room, strict=True):
        columns, rows = made[part]
        chosen = state.at[part]
        lines += _table(columns, rows, width, most, chosen, is_chosen=part == state.part)
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


def _table(
    columns: Sequence[Column], rows: Sequence[Row], width: int, most: int, chosen: int, *, is_chosen: bool
) -> list[Text]:
    """Return a title and so many rows, with the chosen one among them."""
    first = max(0, min(chosen - most + 1, len(rows) - most)) if chosen >= most else 0
    more = len(rows) - most
    title = _line(columns, [column.title for column in columns], width)
    if more > 0:
        title = _line(columns, [f"{columns[0].title} (+{more})", *(c.title for c in columns[1:])], width)
    title.stylize("bold cyan" if is_chosen else "cyan")
    lines = [title]
    for at, (cells, style) in list(enumerate(rows))[first : first + most]:
        line = _line(columns, cells, width, mark=">" if is_chosen and at == chosen else " ")
        line.stylize(f"{style} reverse" if is_chosen and at == chosen else style)
        lines.append(line)
    return lines


def _line(columns: Sequence[Column], cells: Cells, width: int, mark: str = " ") -> Text:
    fixed = sum(column.width + 1 for column in columns if column.width)
    left = max(8, width - fixed - 1)
    line = Text(mark)
    for column, cell in zip(columns, cells, strict=True):
        text = Text(in_one_line(cell))
        wide = column.width or left - 1
        text.truncate(wide, overflow="ellipsis")
        text.align(column.side, wide)
        line.append_text(text)
        line.append(" ")
    return line


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


def _workers(seen: Seen) -> list[Row]:
    rows: list[Row] = []
    for worker in seen.workers:
        longest = f"{as_duration(worker.longest[1])} {worker.longest[0]}" if worker.longest else ""
        is_late = worker.beat_age_s is not None and worker.beat_age_s > 3 * OLD_S
        if worker.state != "live":
            longest = f"declared {worker.state}"
        elif is_late and worker.beat_age_s is not None:
            longest = f"no heartbeat for {as_duration(worker.beat_age_s)}"
        size = as_size(worker.rss_bytes) if worker.rss_bytes else ""
        cells = (worker.name, str(worker.children), str(worker.running), f"{worker.ended:,}", size, longest)
        rows.append((cells, "bold red" if worker.state != "live" or is_late else ""))
    return rows


def _nodes(seen: Seen) -> list[Row]:
    rows: list[Row] = []
    for node in seen.nodes:
        memory = as_size(node.memory_used) if node.memory_used else ""
        if node.memory_limit:
            memory += f" of {as_size(node.memory_limit)}"
        is_well = node.state == "up"
        cells = (
            node.name or "node",
            node.address,
            f"{node.slots:,}" if node.slots else "",
            memory,
            f"{node.state}{', ' + node.server if node.server else ''}",
        )
        rows.append((cells, "" if is_well else "bold red"))
    return rows


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


# -- dead letters ---------------------------------------------------------------------


def _letters(state: State, width: int, height: int) -> list[Text]:
    if state.letters is None:
        return [Text(in_one_line(f"reading the dead letters of {state.queue} …"))]
    if not state.letters:
        return [Text(in_one_line(f"queue {state.queue} has no dead letters"))]
    rows: list[Row] = [
        (
            (
                as_time(one.died_ms),
                one.task or "not verified",
                str(one.crashes),
                one.reason.partition("\n")[0],
            ),
            "",
        )
        for one in state.letters
    ]
    title = Text(in_one_line(f"dead letters of queue {state.queue}: {len(rows):,}"), "bold")
    return [title, *_table(LETTERS, rows, width, height - 2, state.letter, is_chosen=True)]


def _story(state: State) -> list[Text]:
    story = state.story
    if story is None:
        return [Text("reading it …")]
    record, outcome = story.record, story.outcome
    pairs = [
        ("dead letter", story.id),
        ("task", story.task or "not known: the message cannot be verified"),
        ("reason", story.reason),
        ("queue", record.queue),
        ("worker", outcome.worker if outcome is not None else ""),
        ("attempt", str(record.attempt)),
        ("crashes", str(record.crashes)),
        ("sent", as_time(record.created_ms)),
        ("ended", as_time(record.moment_ms)),
    ]
    lines = [Text.assemble((f"{name:<12}", "cyan"), in_one_line(value)) for name, value in pairs if value]
    if outcome is not None and outcome.error is not None:
        lines += [Text(""), *map(Text, printable(outcome.error.traceback.rstrip()).splitlines())]
    return lines
