"""Draws `taskmesh top`: from what is known and chosen to lines that fit the screen. Pure; the terminal is another's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.text import Text

from taskmesh.cli.output import as_duration
from taskmesh.cli.top.letters import letters_in, story_in
from taskmesh.cli.top.parts import parts_of
from taskmesh.cli.top.state import State, View
from taskmesh.core.printable import in_one_line

if TYPE_CHECKING:
    from taskmesh.cli.top.seen import Seen
    from taskmesh.cli.top.watching import Watching

#: What fits at least; a smaller screen shows a part of it.
WIDTH, HEIGHT = 80, 24
#: Lines below all parts.
BELOW = 2
#: Of a look that is older it is said how old it is.
OLD_S = 3.0

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
    head = _head(watching, seen, now_s)
    room = height - len(head) - BELOW
    if state.view is View.HELP:
        body = [Text(line) for line in HELP.splitlines()]
    elif seen is None:
        body = [Text("reading the mesh …")]
    elif state.view is View.LETTERS:
        body = letters_in(state, width, room)
    elif state.view is View.STORY:
        body = story_in(state)
    else:
        body = parts_of(watching, seen, state, width, room)
    lines = [*head, *body[: max(0, room)]]
    lines += [Text("")] * (height - BELOW - len(lines))
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
    first.append_text(_stand_by(seen))
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
    deaf = [f"broker {each.address} {each.trouble}" for each in seen.brokers if each.deaf]
    return [first, second, *(Text(in_one_line(line), "bold red") for line in deaf)]


def _leader(watching: Watching) -> Text:
    if watching.leader_trouble:
        return Text(in_one_line(f"  leader: not known ({watching.leader_trouble})"), "bold red")
    leader = watching.leader or watching.tally.leader
    return Text(f"  leader {leader or 'nobody'}", "" if leader else "yellow")


def _stand_by(seen: Seen) -> Text:
    others = sum(not each.leads for each in seen.schedulers)
    if not seen.schedulers:
        return Text("")
    return Text(f", {others:,} {'stands' if others == 1 else 'stand'} by" if others else ", nobody stands by")


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
