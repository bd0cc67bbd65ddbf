"""What commands print: tables or one JSON document on stdout, notes on stderr.

`rich` is loaded by the first table: a command that prints JSON starts a tenth of a second sooner.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from taskmesh.core.printable import printable, shown
from taskmesh.core.redact import redact

if TYPE_CHECKING:
    from rich.console import JustifyMethod, RenderableType
    from rich.table import Table
    from rich.text import Text

F = TypeVar("F", bound=Callable[..., Any])

#: Width where there is no terminal: a table takes what it needs, and a pipe is no reason to cut words.
_UNBOUND = 10_000


def json_option(function: F) -> F:
    """Give a command `--json`."""
    return click.option(
        "--json", "json_wanted", is_flag=True, help="Print one JSON document instead of text and tables."
    )(function)


def print_json(document: object) -> None:
    """Print a document as JSON."""
    click.echo(json.dumps(document, indent=2))


def as_plain(value: Any) -> Any:
    """Return what msgpack knows as JSON can say it, which lacks bytes, keys that are no texts, and NaN."""
    if isinstance(value, dict):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def say(text: str) -> None:
    """Print a note on stderr, without the secrets that can be found in it."""
    click.echo(redact(text), err=True)


def show(*parts: RenderableType) -> None:
    """Print tables and texts on stdout."""
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> None:
            """Leave it to `main`: rich would exit with 1."""
            raise BrokenPipeError

    console = Output(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _UNBOUND
    for part in parts:
        console.print(part)


def table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    numbers: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> Table:
    """Return a table.

    Args:
        title: Above it.
        columns: Their names.
        rows: Their cells; numbers are written with separators, None as a dash.
        numbers: Names of the columns that are aligned to the right.
        whole: Names of the columns that are not broken as long as others can be.
    """
    from rich import box
    from rich.table import Table

    # a title is broken to the table's width
    made = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, min_width=len(title)
    )
    for column in columns:
        justify: JustifyMethod = "right" if column in numbers else "left"
        made.add_column(column, justify=justify, overflow="fold", no_wrap=column in whole)
    for row in rows:
        made.add_row(*[_cell(value) for value in row])
    return made


def table_or_list(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: Sequence[str] = ()
) -> RenderableType:
    """Return a table as `table` does; where it would not fit, a list: each row by itself, without what it lacks.

    For tables of many columns, which a usual terminal would break into single syllables.

    Args:
        title: Above it.
        columns: Their names.
        rows: Their cells.
        numbers: Names of the columns that are aligned to the right.
    """
    from rich.console import Group
    from rich.text import Text

    from taskmesh.cli.fitting import Fitting

    listed = []
    for row in rows:
        said = [pair for pair in zip(columns[1:], row[1:], strict=True) if pair[1] not in (None, "")]
        listed.append(facts(f"{columns[0]} {row[0]}", said))
    narrow = Group(Text(f"{title}\n", style="bold"), *listed)
    return Fitting(table(title, columns, rows, numbers=numbers), narrow)


def facts(title: str, pairs: Iterable[tuple[str, object]]) -> RenderableType:
    """Return names and values below a title."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, show_header=False)
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs:
        made.add_row(name, _cell(value))
    # not the table's own title, which is broken to its width: short values would cut an id
    return Group(Text(title, style="bold"), made)


def _cell(value: object) -> Text:
    from rich.text import Text

    if value is None or value == "":
        return Text("-", style="dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    if isinstance(value, int):
        return Text(f"{value:,}")
    return visible(str(value))


def visible(text: str) -> Text:
    """Return text from elsewhere so that it cannot steer a terminal; line breaks stay."""
    from rich.text import Text

    return Text(printable(text))


def as_size(count: int) -> str:
    """Return a number of bytes for people: `1.5 MiB`."""
    if count < 1024:
        return f"{count} B"
    amount = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        amount /= 1024
        if amount < 1024:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1024:.1f} TiB"


def as_arguments(args: Sequence[Any], kwargs: Mapping[str, Any], most: int | None = None) -> str:
    """Return arguments as they stand in a call: `1, 'a', key=2`.

    Args:
        args: By position.
        kwargs: By name.
        most: Characters of each that are shown; all if not given.
    """

    def cut(value: Any) -> str:
        text = shown(value)
        return text if most is None or len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"

    return ", ".join([*map(cut, args), *(f"{name}={cut(value)}" for name, value in kwargs.items())])


def as_duration(seconds: float) -> str:
    """Return a duration for people: `3 d 4 h`, `12 min 5 s`, `0.3 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    left = int(seconds)
    for size, unit, next_size, next_unit in (
        (86_400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if left >= size:
            rest = left % size // next_size
            return f"{left // size} {unit}" + (f" {rest} {next_unit}" if rest else "")
    return f"{left} s"


def as_time(ms: int) -> str:
    """Return a moment for people, in this machine's time zone; empty for none."""
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S") if ms else ""


def as_iso(ms: int) -> str | None:
    """Return a moment for programs: ISO 8601, UTC; None for none."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds") if ms else None
