"""`taskmesh transaction`: what was decided, and how far it is."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from taskmesh.cli.group import SuggestingGroup, ending
from taskmesh.cli.output import as_iso, as_time, json_option, print_json, show, table
from taskmesh.cli.target import Target, target_options
from taskmesh.errors import UsageError

if TYPE_CHECKING:
    from taskmesh.client.transactions import TransactionStatus

_REACH = "1 the node or the acceptors cannot be reached, or there is no such mesh"


@click.group(cls=SuggestingGroup)
def transaction() -> None:
    """Look at transactions: what was decided, and how far it is."""


@transaction.command(
    "list",
    epilog=ending(
        examples=["taskmesh transaction list -A app:mesh", "taskmesh transaction list --mesh shop --json"],
        codes=["0 shown, also when there are none", _REACH],
    ),
)
@target_options()
@json_option
def list_command(*, target: Target, json_wanted: bool) -> None:
    """List transactions that were decided, the oldest first; each is known for an hour after its end.

    One that is committed and not done waits for a node that is full or away, or for a leader: see `taskmesh leader`.
    """
    statuses = target.look().transaction_statuses()
    if json_wanted:
        print_json([_as_json(status) for status in statuses])
        return
    rows = [
        (each.id, each.state, as_time(each.at_ms), each.by, each.messages, each.files, each.locks)
        for each in statuses
    ]
    columns = ("id", "state", "since", "by", "messages", "files", "locks")
    show(table("Transactions", columns, rows, numbers=("messages", "files", "locks")))


@transaction.command(
    "show",
    epilog=ending(
        examples=["taskmesh transaction show pay-7 -A app:mesh"],
        codes=["0 shown", "2 there is none of this id, or it is known no more", _REACH],
    ),
)
@click.argument("transaction_id", metavar="ID")
@target_options()
@json_option
def show_command(*, transaction_id: str, target: Target, json_wanted: bool) -> None:
    """Show one transaction, with the ids of its messages when it is done."""
    statuses = target.look().transaction_statuses()
    found = next((each for each in statuses if each.id == transaction_id), None)
    if found is None:
        raise UsageError(
            f"transaction {transaction_id} is not known: it was never decided, or ended more than an hour ago; "
            "`taskmesh transaction list` shows those that are"
        )
    if json_wanted:
        print_json(_as_json(found))
        return
    click.echo(f"{found.id} is {found.state} since {as_time(found.at_ms)}, decided by {found.by or 'nobody'}")
    click.echo(f"messages: {found.messages}, files: {found.files}, locks: {found.locks}")
    for task_id in found.task_ids:
        click.echo(task_id)


def _as_json(status: TransactionStatus) -> dict[str, Any]:
    """Return what programs may want to know; the moment as other commands tell theirs."""
    document = dataclasses.asdict(status)
    since = as_iso(document.pop("at_ms"))
    return document | {"since": since}
