"""`taskmesh revoke`: end messages that wait, and runs if that is asked for."""

from __future__ import annotations

import click

from taskmesh.cli.group import ending
from taskmesh.cli.output import json_option, print_json, show, table
from taskmesh.cli.target import Target, target_options
from taskmesh.client.revoking import ENDED, RUNS, UNKNOWN, revoke_all
from taskmesh.codec.control import TERMINATE_SIGNALS
from taskmesh.core.ids import check_task_id
from taskmesh.core.state import STATE_OF, State


@click.command(
    epilog=ending(
        examples=[
            "taskmesh revoke 0193a2… -A app:mesh",
            "taskmesh revoke nightly-1 nightly-2 --mesh shop --terminate",
            "taskmesh revoke 0193a2… --terminate --signal KILL --json",
        ],
        codes=[
            "0 each is revoked, flagged or had ended before",
            "1 one is not known, or the node cannot be reached",
        ],
    )
)
@click.argument("task_ids", metavar="ID...", nargs=-1, required=True)
@click.option(
    "--terminate", is_flag=True, help="End those that run, too: their processes are ended and replaced."
)
@click.option(
    "--signal",
    type=click.Choice(TERMINATE_SIGNALS, case_sensitive=False),
    default="TERM",
    metavar="NAME",
    help="By which a process is told: TERM lets it clean up for 2 s, KILL does not.  [default: TERM]",
)
@target_options()
@json_option
def revoke(
    *, task_ids: tuple[str, ...], terminate: bool, signal: str, target: Target, json_wanted: bool
) -> None:
    """Revoke tasks by their ids.

    One that waits is revoked at once. One that runs is flagged, which it can see as current_task().revoked, and is not
    begun again whatever happens; with --terminate its worker ends it within a second or so. One that has ended is
    left as it is.
    """
    mesh = target.open()
    letters = revoke_all(
        mesh.portal, [check_task_id(task_id) for task_id in task_ids], terminate=terminate, signal=signal
    )
    found = {task_id: _said(letter, terminate=terminate) for task_id, letter in letters.items()}
    if json_wanted:
        print_json(
            [{"id": task_id, "state": state, "note": note} for task_id, (state, note) in found.items()]
        )
    else:
        show(
            table("revoked", ("task", "state", "note"), [(task_id, *said) for task_id, said in found.items()])
        )
    click.get_current_context().exit(1 if UNKNOWN in letters.values() else 0)


def _said(letter: str, *, terminate: bool) -> tuple[str | None, str]:
    """Return the state of a message and what was done."""
    if letter == UNKNOWN:
        return None, "nothing is known of it"
    if letter == RUNS:
        return State.STARTED.value, "its worker is told to end it" if terminate else "flagged; it goes on"
    if letter == ENDED:
        return State.REVOKED.value, "revoked"
    return STATE_OF[ord(letter)].value, "had ended before"
