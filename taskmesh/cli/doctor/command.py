"""`taskmesh doctor`: the checks in order, and their report."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from taskmesh.app import TaskMesh
from taskmesh.cli.doctor.agreement import check_agreement
from taskmesh.cli.doctor.broker import check_broker
from taskmesh.cli.doctor.finding import Finding, Level, fail, ok, warn
from taskmesh.cli.doctor.machine import check_key, check_python, check_server_binary, check_state_folder
from taskmesh.cli.doctor.node import check_admitted, check_embedded
from taskmesh.cli.doctor.nodes import check_nodes, check_view
from taskmesh.cli.doctor.state import check_meta, check_state
from taskmesh.cli.failure import EXIT_FAILURE, Failure
from taskmesh.cli.group import ending
from taskmesh.cli.key_place import KeyPlace, place_of
from taskmesh.cli.output import json_option, print_json, show, visible
from taskmesh.cli.target import HOW, Target, chosen, is_shared, refuse_private
from taskmesh.config.settings import load_settings
from taskmesh.errors import NodeFault, NodeUnavailable, TaskMeshError
from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.embedded import running

if TYPE_CHECKING:
    from rich.table import Table

#: This machine is fine, which says nothing of a mesh: a deployment that forgot the address must not take it for well.
EXIT_NOTHING = 3
#: The check that says so.
NO_NODES = "nodes"
_STYLE = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}


@click.command(
    epilog=ending(
        examples=["taskmesh doctor", "taskmesh doctor -A app:mesh", "taskmesh doctor --mesh shop --json"],
        codes=[
            "0 nothing fails (there may be warnings)",
            "1 something fails",
            f"{EXIT_NOTHING} nothing fails, and no node was looked at: no mesh is named, or its own does not run",
        ],
    )
)
@click.option("-A", "--app", metavar="APP", help="The app: module:attribute, or a file such as app.py.")
@click.option("--mesh", metavar="NAME", help="Name of the mesh, where there is no app to import.")
@json_option
def doctor(*, app: str | None, mesh: str | None, json_wanted: bool) -> None:
    """Check this machine and a mesh, and say what to do.

    Without app and mesh, the only mesh that runs here is meant, else this machine alone is checked: Python, the server
    binary, folders, the key. With one: also its broker, if the app or TASKMESH_BROKER names it, its node, how that
    keeps its data, its memory and clock, whether the key is accepted, acceptors and leader, workers, whether they hear
    their broker, queues, parked messages and dead letters. Nothing is started and nothing changed.
    """
    findings = list(_findings(app, mesh))
    failed = any(finding.level is Level.FAIL for finding in findings)
    looked = not any(finding.check == NO_NODES for finding in findings)
    if json_wanted:
        checks = [finding.as_json() for finding in findings]
        print_json({"ok": not failed, "looked_at_nodes": looked, "checks": checks})
    else:
        show(_report(findings))
    click.get_current_context().exit(EXIT_FAILURE if failed else 0 if looked else EXIT_NOTHING)


def _findings(app: str | None, name: str | None) -> Iterator[Finding]:
    yield from check_python()
    mesh: TaskMesh | None = None
    target = Target()
    try:
        target = chosen(app, name)
        place = place_of(load_settings("any", {}, environ=os.environ, cwd="."))
        yield ok("settings", "can be read")
        if not target.is_given:
            target, found = _only_one_here()
            yield found
        if target.is_given:
            mesh = _loaded(target)
            place = place_of(mesh.settings)
            if target.app:
                yield ok("app", f"{target.app}: mesh {mesh.name}, {len(mesh.tasks)} tasks")
    except click.UsageError:
        raise
    except (TaskMeshError, Failure) as error:
        text = error.message if isinstance(error, Failure) else str(error)
        yield fail("app" if app or name else "settings", text, "correct it, as said")
        place = None
    yield from check_server_binary(needed=mesh is None or not mesh.settings.nodes)
    yield from check_state_folder()
    if place is not None:
        yield from check_key(place, is_local=mesh is None or _is_local(mesh))
    if mesh is not None and place is not None:
        try:
            yield from check_broker(mesh)
            yield from _mesh_findings(mesh, target, place)
        except (NodeUnavailable, NodeFault) as error:
            yield _went_away(str(error))
        finally:
            mesh.close()
    elif place is not None:
        yield _no_nodes("give the mesh, as said above")


def _only_one_here() -> tuple[Target, Finding]:
    """Return the only mesh that runs here, where nothing was said; else say that none is looked at."""
    meshes = sorted({node.mesh for node in running()})
    if len(meshes) == 1:
        (name,) = meshes
        return Target(mesh=name), ok(
            "mesh", f"no app is given; this is mesh {name}, the only one that runs here"
        )
    here = f", such as one of those that run here: {', '.join(meshes)}" if meshes else ""
    return Target(), warn("mesh", "none is checked, for none is named", f"{HOW}, or give --mesh NAME{here}")


def _no_nodes(remedy: str) -> Finding:
    return warn(
        NO_NODES,
        f"none was looked at: this machine was checked, and no mesh; so the exit code is {EXIT_NOTHING}",
        remedy,
    )


def _went_away(why: str) -> Finding:
    return check_admitted(why) or fail(
        "node", f"it answered and then no more: {why}", "look at the node's log"
    )


def _loaded(target: Target) -> TaskMesh:
    mesh = target.load()
    refuse_private(mesh)
    return mesh


def _is_local(mesh: TaskMesh) -> bool:
    return all(NodeAddress(url).is_local for url in mesh.settings.nodes)


def _mesh_findings(mesh: TaskMesh, target: Target, place: KeyPlace) -> Iterator[Finding]:
    if is_shared(mesh):
        found, runs = check_embedded(mesh)
        yield from found
        if not runs:
            yield _no_nodes(
                f"start one: {target.worker_command(mesh.name)}; or, if this mesh has nodes elsewhere, say where: "
                "TASKMESH_NODES=redis://host:port"
            )
            return
    found, link = check_nodes(mesh)
    yield from found
    if link is None:
        return
    try:
        keyring = place.read()
    except (TaskMeshError, Failure):
        return  # told above
    found, usable = check_meta(mesh, keyring, link)
    yield from found
    answers = usable
    if usable and mesh.link.several is not None:
        found, usable, answers = check_view(mesh)
        yield from found
    if usable:
        yield from check_agreement(mesh, target)
    if answers:
        yield from check_state(mesh, target)


def _report(findings: list[Finding]) -> Table:
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    made.add_column(no_wrap=True)
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold")
    for finding in findings:
        text = visible(finding.text)
        if finding.remedy:
            text.append("\n→ ")
            text.append_text(visible(finding.remedy))
        made.add_row(Text(finding.level.value, style=_STYLE[finding.level]), finding.check, text)
    return made
