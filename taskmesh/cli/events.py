"""`taskmesh events`: what happens in a mesh, as it happens."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click

from taskmesh.cli.group import ending
from taskmesh.cli.output import say
from taskmesh.cli.target import Target, target_options
from taskmesh.core.event import KINDS, Event
from taskmesh.core.lines import check_queue

_KIND_WIDTH = max(map(len, KINDS))


@click.command(
    epilog=ending(
        examples=[
            "taskmesh events -A app:mesh",
            "taskmesh events --mesh shop --kind failed --kind crashed",
            "taskmesh events --mesh shop --task 'shop.*' --json",
        ],
        codes=["0 ended by Ctrl-C, by --limit, or since nobody reads any more", "1 no node can be reached"],
        interrupted="",
    )
)
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    help="Show only these; may be given several times. A gap is always shown.",
)
@click.option("--task", metavar="PATTERN", default="", help="Show only tasks with such names: shop.*")
@click.option("-Q", "--queue", metavar="NAME", default="", help="Show only what is of this queue.")
@click.option("--limit", type=click.IntRange(min=1), help="End after so many.")
@target_options()
@click.option("--json", "json_wanted", is_flag=True, help="Print one JSON object a line.")
def events(
    *,
    kinds: tuple[str, ...],
    task: str,
    queue: str,
    limit: int | None,
    target: Target,
    json_wanted: bool,
) -> None:
    """Follow what happens: messages, crashes, workers, the leader, the nodes.

    It begins now, and shows a line each until Ctrl-C. Workers and callers tell of it while somebody follows, which they
    hear within a second. Where more happens than can be shown, or a node is away, some is lost, and a gap is shown for
    it. Events are not signed and never hold arguments, results or texts of exceptions.
    """
    if queue:
        check_queue(queue)
    mesh = target.look()
    try:
        with mesh.events(kinds, task=task, queue=queue) as following:
            if not json_wanted:
                say(f"following mesh {mesh.name}; Ctrl-C ends it")
            for count, event in enumerate(following, 1):
                click.echo(json.dumps(event.as_json()) if json_wanted else as_line(event))
                if count == limit:
                    return
    except KeyboardInterrupt:
        return


def as_line(event: Event) -> str:
    """Return an event as one line for people: time, kind, task, id, worker, duration, the rest."""
    at = datetime.fromtimestamp(event.at_ms / 1000, UTC).astimezone()
    took = "" if event.seconds is None else as_short(event.seconds)
    attempt = f"attempt {event.attempt}" if event.attempt > 1 else ""
    words = (event.task, event.id, event.worker, took, attempt, event.detail)
    rest = "  ".join(word for word in words if word)
    return f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}  {event.kind:{_KIND_WIDTH}}  {rest}".rstrip()


def as_short(seconds: float) -> str:
    """Return how long something took: `85 µs`, `3.2 ms`, `1.25 s`."""
    if seconds < 0.001:
        return f"{seconds * 1_000_000:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.4g} s"
