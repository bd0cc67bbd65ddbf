"""`taskmesh nodes`: the nodes that hold the messages, and the acceptors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from taskmesh.cli.acceptor_list import acceptor_table, too_few
from taskmesh.cli.group import SuggestingGroup, ending
from taskmesh.cli.node_changes import add, drain, remove, weight
from taskmesh.cli.node_list import changes_of, node_reports, node_table, view_as_json, view_facts
from taskmesh.cli.node_outage import copies_out_of_reach, refuse_to_call_it_well, removed_nodes
from taskmesh.cli.output import as_duration, as_size, facts, json_option, print_json, show
from taskmesh.cli.target import Target, target_options
from taskmesh.nodes.acceptor_care import AcceptorCare, AcceptorReport
from taskmesh.nodes.node_facts import read_facts

if TYPE_CHECKING:
    from taskmesh.app import TaskMesh
    from taskmesh.replication.view import View


@click.group(
    cls=SuggestingGroup,
    invoke_without_command=True,
    epilog=ending(
        examples=["taskmesh nodes -A app:mesh", "taskmesh nodes --mesh shop --json"],
        codes=["0 shown", "1 no node can be reached, too few acceptors take part, or there is no such mesh"],
    ),
)
@target_options()
@json_option
@click.option("--all", "all_wanted", is_flag=True, help="Show also nodes that were removed for good.")
def nodes(*, target: Target, json_wanted: bool, all_wanted: bool) -> None:
    """Show the servers of a mesh: the nodes with its messages, and the acceptors.

    Of several nodes: how each stands, what it leads and keeps, which copies are missing, and how long the last
    fail-over took.

    Those that were removed are left out, unless --all is given. It fails also where so few acceptors take part that
    no fail-over can happen.
    """
    context = click.get_current_context()
    if context.invoked_subcommand is not None:
        if json_wanted or all_wanted or context.params["app"] or context.params["mesh"]:
            raise click.UsageError(
                f"give options behind the command: taskmesh nodes {context.invoked_subcommand} ..."
            )
        return
    mesh = target.look()
    care, view = AcceptorCare(mesh.agreement), mesh.link.open().view
    if view is None:
        _show_one(mesh, care.reports(), json_wanted=json_wanted)
    else:
        _show_several(mesh, view, care, json_wanted=json_wanted, all_wanted=all_wanted)


for command in (add, remove, drain, weight):
    nodes.add_command(command)


def _show_several(
    mesh: TaskMesh, view: View, care: AcceptorCare, *, json_wanted: bool, all_wanted: bool
) -> None:
    asked = node_reports(mesh.link, view)
    # a server that stands still, or is cut off, is waited for once
    acceptors = care.reports(without=[each.member.address for each in asked if each.is_silent])
    # who was asked may have told of a newer one
    view = mesh.link.view or view
    changes = changes_of(asked)
    gone = removed_nodes(mesh.agreement, view, acceptors)
    known = [replace(each, is_removed=each.member.id in gone) for each in asked]
    members = [each for each in known if all_wanted or not each.is_removed]
    away, lack = copies_out_of_reach(view, asked), too_few(acceptors)
    if json_wanted:
        outage = {"copies_out_of_reach": away, "can_fail_over": not lack}
        print_json(
            {
                "view": view_as_json(view, changes) | outage,
                "nodes": [member.as_json() for member in members],
                "acceptors": [report.as_json() for report in acceptors],
            }
        )
    else:
        head = view_facts(mesh.name, view, changes, away, lack)
        show(head, node_table(members), acceptor_table(acceptors))
    refuse_to_call_it_well(acceptors, asked)


def _show_one(mesh: TaskMesh, acceptors: list[AcceptorReport], *, json_wanted: bool) -> None:
    link = mesh.link
    told = link.run(read_facts(link.session))
    address = str(link.driver.address)
    if json_wanted:
        node = {"address": address} | told.as_json()
        print_json({"node": node, "acceptors": [report.as_json() for report in acceptors]})
        return
    limit = f" of {as_size(told.memory_limit)}" if told.memory_limit else ""
    show(
        facts(
            f"node of mesh {mesh.name}",
            [
                ("address", address),
                ("server", f"{told.product} {told.version}, up {as_duration(told.uptime_s)}"),
                ("keeps", told.persistence),
                ("memory", f"{as_size(told.memory_used)}{limit}, {told.policy}"),
                ("clients", told.clients),
            ],
        ),
        acceptor_table(acceptors),
    )
