"""Dead letters on the screen of `taskmesh top`: those of a queue, and one with its story. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from taskmesh.cli.output import as_time
from taskmesh.cli.top.table import Column, Row, table_of
from taskmesh.core.printable import in_one_line, printable

if TYPE_CHECKING:
    from taskmesh.cli.top.state import State

LETTERS = (
    Column("died", 19, "left"),
    Column("task", 24, "left"),
    Column("crashes", 7),
    Column("reason", 0, "left"),
)


def letters_in(state: State, width: int, height: int) -> list[Text]:
    """Return the lines of the dead letters of a queue."""
    if state.letters is None:
        return [Text(in_one_line(f"reading the dead letters of {state.queue} …"))]
    older = f"; {state.older:,} older of the mesh: taskmesh dead list" if state.older else ""
    if not state.letters:
        return [Text(in_one_line(f"queue {state.queue} has no {'new ' if older else ''}dead letters{older}"))]
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
    title = Text(in_one_line(f"dead letters of queue {state.queue}: {len(rows):,}{older}"), "bold")
    return [title, *table_of(LETTERS, rows, width, height - 2, state.letter, is_chosen=True)]


def story_in(state: State) -> list[Text]:
    """Return the lines of one dead letter."""
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
