"""`taskmesh nodes add|remove|drain|weight`: change which nodes a mesh has."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from taskmesh.cli.group import ending
from taskmesh.cli.output import json_option, print_json, say
from taskmesh.cli.target import Target, target_options
from taskmesh.nodes.change_progress import NodeChange, Progress
from taskmesh.nodes.node_changes import NodeChanges
from taskmesh.replication.view import WEIGHT
from taskmesh.ring.node import WEIGHT_MAX

_CODES = [
    "0 done; with --dry-run or --no-wait: it can be done",
    "1 it is not done yet, or the mesh cannot be reached; what is refused for a reason is wrong usage",
]
#: After so many looks at which nobody has begun, the operator is told.
PATIENT_LOOKS = 40


def _changing(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of all changes."""

    @wraps(function)
    def wrapper(**given: Any) -> None:
        function(**given)

    decorated: Callable[..., None] = json_option(target_options()(wrapper))
    decorated = click.option(
        "--no-wait", is_flag=True, help="Write it down for the leader, and do not wait until it is done."
    )(decorated)
    return click.option("--dry-run", is_flag=True, help="Say what would move, and change nothing.")(decorated)


@click.command(
    epilog=ending(
        examples=[
            "taskmesh nodes add redis://10.0.0.4:6379 -A app:mesh",
            "taskmesh nodes add redis://10.0.0.4:6379 --weight 200 --domain rack2 --dry-run -A app:mesh",
        ],
        codes=_CODES,
    )
)
@click.argument("address", metavar="ADDRESS")
@click.option(
    "--weight",
    type=click.IntRange(1, WEIGHT_MAX),
    help=f"How much it keeps.  [default: {WEIGHT}; of one that was added before: as it is]",
)
@click.option(
    "--domain",
    metavar="NAME",
    help="What fails together with it: a host, a rack.  [default: none, or as it is]",
)
@_changing
def add(*, address: str, weight: int | None, domain: str | None, target: Target, **how: bool) -> None:
    """Add a server to a mesh: it is copied to, and then takes its share.

    A mesh of one node, embedded or not, becomes one of several by that, with all that it holds; workers and callers go
    on.

    The server must be empty, keep its data as the mesh promises, throw nothing away when full, and have the right
    time. Interrupted, it goes on; the same command watches it again, and changes only what it is given.
    """
    changes = _changes(target)
    _do(changes, changes.adding(address, weight=weight, domain=domain), "joins", **how)


@click.command(
    epilog=ending(examples=["taskmesh nodes remove n2 -A app:mesh"], codes=_CODES),
)
@click.argument("node", metavar="NODE")
@_changing
def remove(*, node: str, target: Target, **how: bool) -> None:
    """Take a node out of a mesh: what it keeps is handed over first.

    Its server can be ended then. If it is an acceptor too, another node takes its place as one. Acceptors that the
    settings name stay: the command says so, also with --dry-run, where the node is one of them.

    NODE is its id or its address. Refused where fewer nodes would be left than copies are wanted, or none that could
    take its place as an acceptor.
    """
    changes = _changes(target)
    _do(changes, changes.removing(node), "leaves", **how)


@click.command(
    epilog=ending(examples=["taskmesh nodes drain n2 --dry-run -A app:mesh"], codes=_CODES),
)
@click.argument("node", metavar="NODE")
@_changing
def drain(*, node: str, target: Target, **how: bool) -> None:
    """Empty a node, to work on its machine for example: it stays a member, and keeps nothing.

    `taskmesh nodes weight NODE 100` has it take its share again.
    """
    changes = _changes(target)
    _do(changes, changes.draining(node), "is emptied", **how)


@click.command(
    epilog=ending(
        examples=["taskmesh nodes weight n2 200 -A app:mesh", "taskmesh nodes weight n2 100 --domain rack1"],
        codes=_CODES,
    ),
)
@click.argument("node", metavar="NODE")
@click.argument("weight", type=click.IntRange(0, WEIGHT_MAX), metavar="WEIGHT")
@click.option("--domain", metavar="NAME", help="What fails together with it.  [default: as it is]")
@_changing
def weight(*, node: str, weight: int, domain: str | None, target: Target, **how: bool) -> None:
    """Change how much a node keeps, in proportion to others, which have 100; 0 empties it."""
    changes = _changes(target)
    _do(changes, changes.weighing(node, weight, domain=domain), f"has weight {weight}", **how)


def _changes(target: Target) -> NodeChanges:
    mesh = target.open()
    return NodeChanges(mesh.agreement, mesh.settings.durability)


def _do(
    changes: NodeChanges, change: NodeChange, what: str, *, dry_run: bool, no_wait: bool, json_wanted: bool
) -> None:
    """Say what a change means, and, unless that was all, have it done."""
    moves = (
        f"{change.copies:,} of {change.of_copies:,} copies of slots travel, {change.primaries:,} of "
        f"{change.of_slots:,} slots are led by another node that keeps them"
    )
    # what was asked for is the answer; what is told beside the work is not
    tell = click.echo if dry_run and not json_wanted else say
    tell(f"{change.node} {what}: {moves}")
    acceptor = changes.named_acceptor_of(change) if change.wish.leaves else ""
    if acceptor:
        tell(
            f"{change.node} is an acceptor too, as {acceptor}: do not end its server before another is in its place: "
            f"`taskmesh acceptors replace {acceptor} NEW`, or `taskmesh acceptors move` to those that the settings name"
        )
    done = False
    came_of_it = ""
    if not dry_run:
        named = change.node
        change = changes.wish(change)
        if change.node != named:
            say(f"{change.wish.address} is {change.node}: another server was added at the same moment")
        if not no_wait:
            came_of_it = _show_until_done(changes, change, what)
            done = True
    if json_wanted:
        print_json(
            {
                "node": change.node,
                "address": change.wish.address,
                "copies_moved": change.copies,
                "primaries_moved": change.primaries,
                "acceptor": acceptor or None,
                "dry_run": dry_run,
                "done": done,
            }
        )
    elif done:
        ended = "; its server can be ended now" if change.wish.leaves and not acceptor else ""
        share = f", it {came_of_it}" if change.wish.weight and not change.wish.leaves else ""
        click.echo(f"{change.node} {what}: done{share}{ended}")


def _show_until_done(changes: NodeChanges, change: NodeChange, what: str) -> str:
    """Wait until a change is done, and return what came of it."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Bar(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"{change.node} {what}", total=None)
        unbegun, hindered, text = 0, False, ""
        for progress in changes.watch(change):
            unbegun = _count_unbegun(progress, unbegun, change.node)
            if progress.hindrance and not hindered:
                say(
                    f"{change.node} cannot go on: {progress.hindrance}. It goes on when it does, also after Ctrl-C"
                )
            hindered, text = bool(progress.hindrance), progress.text
            bar.update(
                task,
                description=f"{change.node} {progress.text}",
                completed=progress.done,
                total=progress.total or None,
            )
    return text


def _count_unbegun(progress: Progress, unbegun: int, node: str) -> int:
    if not progress.text.endswith("waits for the leader"):
        return 0
    if unbegun + 1 == PATIENT_LOOKS:
        say(
            f"{node} still waits for the leader: does a worker or a `taskmesh scheduler` run? It goes on when one "
            "does, also after Ctrl-C"
        )
    return unbegun + 1
