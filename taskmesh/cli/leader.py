"""`taskmesh leader`: who fires the schedules, and who did before."""

from __future__ import annotations

import time
from typing import Any

import click

from taskmesh.cli.group import ending
from taskmesh.cli.output import as_duration, as_iso, as_time, facts, json_option, print_json, show, table
from taskmesh.cli.target import Target, target_options
from taskmesh.coordination.leader import Leader
from taskmesh.coordination.leading import leading


@click.command(
    epilog=ending(
        examples=["taskmesh leader -A app:mesh", "taskmesh leader --mesh shop --json"],
        codes=[
            "0 shown, also when nobody leads",
            "1 the node or a majority of the acceptors cannot be reached",
        ],
    ),
)
@target_options()
@json_option
def leader(*, target: Target, json_wanted: bool) -> None:
    """Show the leader: who fires schedules, since when, with which token, and the last handovers.

    One that is dead is replaced within 8 seconds, if there is any other worker or scheduler. Where it has not renewed
    its lead lately, this waits for that, up to 7 seconds, and says if it does not.
    """
    mesh = target.look()
    agreement = mesh.agreement
    found, lives = agreement.run(leading(agreement.registers, int(time.time() * 1000)))
    if json_wanted:
        print_json(_document(found, lives=lives))
        return
    if found.holder:
        age_s = max(0.0, time.time() - found.since_ms / 1000)
        show(
            facts(
                f"leader of mesh {mesh.name}",
                [
                    ("name", found.name),
                    ("process", found.address),
                    ("token", str(found.token)),
                    ("since", f"{as_time(found.since_ms)}, {as_duration(age_s)} ago"),
                    ("renewals", found.renewals),
                    ("renewed", _renewed(found)),
                ],
            )
        )
    if not lives:
        gone = f"{found.name} is gone, and " if found.holder else ""
        show(
            f"{gone}nobody leads mesh {mesh.name}: schedules do not fire until a worker or `taskmesh scheduler` runs"
        )
    if found.changes:
        rows = [
            (as_time(each.at_ms), str(each.token), each.name, each.what) for each in reversed(found.changes)
        ]
        show(table("last handovers", ["when", "token", "name", "what"], rows))


def _renewed(found: Leader) -> str:
    age_s = max(0.0, time.time() - found.renewed_ms / 1000)
    return f"{as_duration(age_s)} ago" if found.renewed_ms else ""


def _document(found: Leader, *, lives: bool) -> dict[str, Any]:
    return {
        "leader": found.name or None,
        "lives": lives,
        "incarnation": found.holder or None,
        "process": found.address or None,
        "token": found.token,
        "since": as_iso(found.since_ms) if found.holder else None,
        "renewals": found.renewals,
        "renewed": as_iso(found.renewed_ms) if found.holder else None,
        "changes": [
            {"at": as_iso(each.at_ms), "token": each.token, "name": each.name, "what": each.what}
            for each in reversed(found.changes)
        ],
    }
