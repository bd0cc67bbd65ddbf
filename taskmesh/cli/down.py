"""`taskmesh down`: stop embedded nodes."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import click

from taskmesh.cli.failure import Failure
from taskmesh.cli.group import ending
from taskmesh.cli.output import json_option, print_json, say
from taskmesh.cli.purge import confirm
from taskmesh.cli.target import Target, is_shared, target_options
from taskmesh.errors import NodeUnavailable
from taskmesh.nodes import embedded
from taskmesh.nodes.embedded import Running
from taskmesh.nodes.embedded_delete import delete, kept


@click.command(
    epilog=ending(
        examples=[
            "taskmesh down -A app:mesh",
            "taskmesh down --mesh shop",
            "taskmesh down",
            "taskmesh down --mesh tried-once --delete",
        ],
        codes=[
            "0 stopped, or there was nothing to stop",
            "1 a node did not end in time; with --delete: it is in use, or not confirmed",
        ],
    )
)
@click.option(
    "--all", "all_wanted", is_flag=True, help="Every embedded node of this account, also those in use."
)
@click.option("--delete", "delete_wanted", is_flag=True, help="Remove the data of the mesh as well.")
@click.option("--yes", is_flag=True, help="With --delete: do not ask.")
@target_options()
@json_option
def down(*, all_wanted: bool, delete_wanted: bool, yes: bool, target: Target, json_wanted: bool) -> None:
    """Stop embedded nodes; their data stays.

    With an app or a mesh: its nodes, whoever uses them. Without: those of this account that nobody else uses. Workers
    and callers that still run start their node again when they need it: stop workers first.

    With --delete, the data of one mesh goes as well: its messages, its results, its folder. Asks first, and refuses
    while others use the node.
    """
    if delete_wanted:
        _delete(target, all_wanted=all_wanted, yes=yes, json_wanted=json_wanted)
        return
    of = ""
    if all_wanted:
        if target.mesh:
            raise click.UsageError("give either --all or the name of one mesh")
        stopped, left = _stop_those(embedded.running(), used_too=True)
    elif target.is_given:
        mesh = target.load()
        of = f" for mesh {mesh.name}"
        stopped, left = [], []
        if is_shared(mesh):
            stopped = _stop_node_of(mesh.name)
        else:
            say(f"mesh {mesh.name} does not use an embedded node of this account: there is nothing to stop")
    else:
        stopped, left = _stop_those(embedded.running(), used_too=False)
    if json_wanted:
        print_json({"stopped": stopped, "left": left})
        return
    for fact in stopped:
        them = "it" if fact["nodes"] == 1 else "them"
        users = f" while {_connections(fact['clients'])} used {them}" if fact["clients"] else ""
        click.echo(f"stopped {embedded.called(fact['mesh'], fact['nodes'])}{users}; its data stays")
        if fact["clients"]:
            say(
                f"who used {them} and still runs starts {them} again when it is needed: end `taskmesh up`, workers "
                f"(`taskmesh workers --mesh {fact['mesh']} --stop-all`) and callers first, for {them} to stay down"
            )
    for fact in left:
        them = "it" if fact["nodes"] == 1 else "them"
        click.echo(
            f"left {embedded.called(fact['mesh'], fact['nodes'])} alone: {_connections(fact['clients'])} use {them} "
            f"(`taskmesh down --mesh {fact['mesh']}` stops {them} all the same)"
        )
    if not stopped and not left:
        click.echo(f"no embedded node runs{of}")


def _delete(target: Target, *, all_wanted: bool, yes: bool, json_wanted: bool) -> None:
    """Stop the node of one mesh, remove what it keeps, and say so."""
    if all_wanted or not target.is_given:
        names = ", ".join(kept()) or "none"
        raise click.UsageError(
            f"--delete is for one mesh: give --mesh NAME or -A (meshes with data here: {names})"
        )
    mesh = target.load()
    if not is_shared(mesh):
        raise Failure(f"mesh {mesh.name} does not use an embedded node of this account: its data is not here")
    if mesh.name in kept():
        nodes = [node for node in embedded.running() if node.mesh == mesh.name]
        users = sum(map(clients_of, nodes))
        if users:
            several = len(nodes) > 1
            raise Failure(
                f"{embedded.called(mesh.name, len(nodes))} {'are' if several else 'is'} left alone: "
                f"{_connections(users)} use {'them' if several else 'it'}; end workers "
                f"(`taskmesh workers --mesh {mesh.name} --stop-all`) and callers first"
            )
        if not yes:
            confirm(f"remove all messages and results of mesh {mesh.name}?")
    deleted = delete(mesh.name)
    if json_wanted:
        print_json({"deleted": [mesh.name] if deleted else []})
    elif deleted:
        click.echo(f"removed all that the embedded node of mesh {mesh.name} kept")
    else:
        click.echo(f"mesh {mesh.name} has no data here (meshes that have: {', '.join(kept()) or 'none'})")


def _stop_node_of(mesh: str) -> list[dict[str, Any]]:
    stopped, _ = _stop_those([node for node in embedded.running() if node.mesh == mesh], used_too=True)
    if not stopped and embedded.stop(mesh):
        return [{"mesh": mesh, "nodes": 1, "clients": 0}]  # its guardian lived, and its server did not answer
    return stopped


def _stop_those(nodes: list[Running], *, used_too: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Stop the nodes of each mesh, all or none of them."""
    stopped, left = [], []
    for mesh, group in groupby(nodes, lambda node: node.mesh):
        members = list(group)
        clients = sum(map(clients_of, members))
        fact = {"mesh": mesh, "nodes": len(members), "clients": clients}
        if clients and not used_too:
            left.append(fact)
        elif embedded.stop(mesh):
            stopped.append(fact)
    return stopped, left


def clients_of(node: Running) -> int:
    """Return how many connections others have to a node; one that is busy counts as used."""
    try:
        return max(0, embedded.count_clients(node))
    except NodeUnavailable:
        return 1


def _connections(count: int) -> str:
    return f"{count} connection" + ("" if count == 1 else "s")
