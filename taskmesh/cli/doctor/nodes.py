"""Checks of the nodes of a mesh, each for itself, and of what they agree upon."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from taskmesh.app import TaskMesh
from taskmesh.cli.doctor.absent import check_absent
from taskmesh.cli.doctor.finding import Finding, ok, warn
from taskmesh.cli.doctor.node import (
    check_clock,
    check_memory,
    check_persistence,
    check_reachable,
    check_server,
)
from taskmesh.cli.node_list import copies_of_each
from taskmesh.replication.seek import seek_view
from taskmesh.replication.view import LOST, MOVING, copies_missing

if TYPE_CHECKING:
    from taskmesh.nodes.link import Link


def check_nodes(mesh: TaskMesh) -> tuple[list[Finding], Link | None]:
    """Look at each node; return also a link to one that answers."""
    link = mesh.link
    _ = link.driver  # finds out whether there are several
    several = link.several
    if several is None:
        return _check_node(mesh, link)
    found: list[Finding] = []
    usable: Link | None = None
    for node in several.nodes:
        one = link.at(node)
        its, answering = _check_node(mesh, one)
        usable = usable or answering
        address = str(one.driver.address)
        found += [
            each if address in each.text else replace(each, text=f"{address}: {each.text}") for each in its
        ]
    return found, usable


def _check_node(mesh: TaskMesh, link: Link) -> tuple[list[Finding], Link | None]:
    found, facts = check_reachable(mesh, link)
    if facts is None:
        return found, None
    found += check_server(facts)
    found += check_persistence(mesh, facts)
    found += check_memory(facts)
    found += check_clock(link)
    return found, link


def check_view(mesh: TaskMesh) -> tuple[list[Finding], bool, bool]:
    """Look at what the nodes of a mesh of several agree upon, and who of them answers. No view is made.

    Returns:
        What was found; whether there is a view; whether any member answers.
    """
    link = mesh.link
    several = link.several
    if several is None:
        return [], True, True
    if several.driver.run(seek_view(link.prefix, tuple(several.seeds))).view is None:
        return [ok("view", "none yet: the nodes become one mesh at its first use")], False, False
    view = link.open().view
    if view is None:
        return [], False, False
    text = f"{view.number}: {', '.join(view.nodes)}, {copies_of_each(view)}"
    found = [
        warn(
            "view",
            f"{member.id} ({member.address}) is lost; what it led is led by others",
            "start it: it comes back by itself; or have another take its place: taskmesh nodes add URL, then taskmesh "
            f"nodes remove {member.id}",
        )
        for member in view.members
        if member.state == LOST
    ]
    absent, answers = check_absent(mesh, view, several.seeds)
    found += absent
    missing = copies_missing(view)
    if view.phase == MOVING:
        found.append(warn("view", f"{text}; it is being made", "look again in a moment: taskmesh nodes"))
    elif missing:
        found.append(
            warn(
                "view",
                f"{text}; {missing:,} of {view.slots * view.replicas:,} copies are lacking: nothing is lost, and fewer "
                "further losses can be borne",
                "bring back what is lost, or add another node: taskmesh nodes add URL",
            )
        )
    else:
        found.append(ok("view", text))
    return found, True, answers
