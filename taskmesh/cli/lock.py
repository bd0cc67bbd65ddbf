"""`taskmesh lock`: who holds what, who waits for it, and breaking what is stuck."""

from __future__ import annotations

import dataclasses

import click

from taskmesh.cli.group import SuggestingGroup, ending
from taskmesh.cli.output import json_option, print_json, show, table
from taskmesh.cli.target import Target, target_options
from taskmesh.client.holding import check_name
from taskmesh.client.lines import KINDS, Held, LockStatus

_REACH = "1 the node or the acceptors cannot be reached, or there is no such mesh"


@click.group(cls=SuggestingGroup)
def lock() -> None:
    """Look at locks, semaphores and elections, and break one that is stuck."""


@lock.command(
    "list",
    epilog=ending(
        examples=["taskmesh lock list -A app:mesh", "taskmesh lock list --mesh shop --json"],
        codes=["0 shown, also when there are none", _REACH],
    ),
)
@target_options()
@json_option
def list_command(*, target: Target, json_wanted: bool) -> None:
    """List what is held or waited for, with the token of each holder.

    A holder is a process, as host:process. One that is lost vanished: nobody has it until its lock-delay is over, which
    is counted while somebody waits.
    """
    statuses = target.look().lock_statuses()
    if json_wanted:
        print_json([dataclasses.asdict(status) for status in statuses])
        return
    rows = [row for status in statuses for row in _rows(status)]
    show(
        table(
            "Locks",
            ("kind", "name", "mode", "holder", "token", "waiting"),
            rows,
            numbers=("token", "waiting"),
        )
    )


def _rows(status: LockStatus) -> list[tuple[object, ...]]:
    waiting = len(status.waiting)
    holders = status.holders or (Held("nobody", status.waiting[0].mode),)
    return [
        (
            status.kind,
            status.name,
            holder.mode,
            f"{holder.owner} (lost)" if holder.lost else holder.owner,
            str(holder.token or ""),  # without separators: it is copied into --fence
            waiting,
        )
        for holder in holders
    ]


@lock.command(
    "break",
    epilog=ending(
        examples=[
            "taskmesh lock break reindex -A app:mesh",
            "taskmesh lock break api --kind semaphore --no-delay",
        ],
        codes=["0 nobody holds it any more, also where nobody did", _REACH],
    ),
)
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), default="lock", show_default=True, help="What it is.")
@click.option(
    "--no-delay", is_flag=True, help="Let the next one have it at once, and not after the lock-delay."
)
@target_options()
@json_option
def break_command(*, name: str, kind: str, no_delay: bool, target: Target, json_wanted: bool) -> None:
    """Take a lock away from whoever holds it.

    The holder learns of it when it next renews its lease, after a third of that at most; so the next one gets the lock
    after the lock-delay only, unless you know that the holder does nothing any more.
    """
    check_name(kind, name)
    count = target.open().break_lock(name, kind=kind, delay=not no_delay)
    if json_wanted:
        print_json({"kind": kind, "name": name, "broken": count})
    elif count:
        click.echo(f"{kind} {name} is taken away from {count} {'holder' if count == 1 else 'holders'}")
    else:
        click.echo(f"nobody holds {kind} {name}")
