"""`taskmesh nodes`: the node that holds the messages, and the acceptors."""

from __future__ import annotations

import click

from taskmesh.cli.acceptor_list import acceptor_table
from taskmesh.cli.group import ending
from taskmesh.cli.node_facts import read_facts
from taskmesh.cli.output import as_duration, as_size, facts, json_option, print_json, show
from taskmesh.cli.target import Target, target_options
from taskmesh.nodes.acceptor_care import AcceptorCare


@click.command(
    epilog=ending(
        examples=["taskmesh nodes -A app:mesh", "taskmesh nodes --mesh shop --json"],
        codes=["0 shown", "1 the node cannot be reached, or there is no such mesh"],
    )
)
@target_options()
@json_option
def nodes(*, target: Target, json_wanted: bool) -> None:
    """Show the servers of a mesh: the node with its messages, and the acceptors."""
    mesh = target.look()
    link = mesh.link
    told = link.run(read_facts(link.session))
    reports = AcceptorCare(mesh.agreement).reports()
    address = str(link.driver.address)
    if json_wanted:
        node = {"address": address} | told.as_json()
        print_json({"node": node, "acceptors": [report.as_json() for report in reports]})
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
        acceptor_table(reports),
    )
