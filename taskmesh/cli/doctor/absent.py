"""Checks of a mesh of several nodes for members that do not answer: which, what that means, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from taskmesh.cli.doctor.finding import Finding, fail, warn
from taskmesh.cli.node_list import node_reports
from taskmesh.cli.node_remedy import remedy
from taskmesh.nodes.sync_driver import ANEW, WHO_ADMITS
from taskmesh.replication.view import UP

if TYPE_CHECKING:
    from taskmesh.app import TaskMesh
    from taskmesh.replication.view import Member, View


def check_absent(mesh: TaskMesh, view: View, told: Collection[str]) -> tuple[list[Finding], bool]:
    """Look which members the view counts on though they do not answer now; return also whether any does.

    Args:
        mesh: Which.
        view: Its view.
        told: Addresses of nodes that were looked at before: where nobody answers there, that was said.
    """
    reports = [report for report in node_reports(mesh.link, view) if report.member.state == UP]
    away = [(report.member, report.trouble) for report in reports if report.told is None]
    found = absent_findings(view, away, lambda address: remedy(mesh, address), told)
    return found, len(away) < len(reports)


def absent_findings(
    view: View,
    away: Sequence[tuple[Member, str]],
    remedy_of: Callable[[str], str],
    told: Collection[str] = (),
) -> list[Finding]:
    """Return what is to be said of members that do not answer.

    Args:
        view: It counts on them.
        away: They, and why each does not answer.
        remedy_of: Returns what to do about the server at an address.
        told: Addresses where it was said that nobody answers.
    """
    if not away:
        return []
    found = [
        fail("members", f"{_called(member)} {trouble}", remedy_of(member.address))
        for member, trouble in away
        if ANEW not in trouble and member.address not in told
    ]
    anew = [_called(member) for member, trouble in away if ANEW in trouble]
    if anew:
        found.append(fail("members", f"{', '.join(anew)}: {ANEW}", WHO_ADMITS))
    return [*found, _copies(view, [member for member, _ in away])]


def _called(member: Member) -> str:
    return f"{member.id} ({member.address})"


def _copies(view: View, away: Sequence[Member]) -> Finding:
    """Say whether all is still there, and whether the others can go on without those that are away."""
    ids = {member.id for member in away}
    left = [sum(node not in ids for node in row) for row in view.table]
    out = sum(map(len, view.table)) - sum(left)
    names = ", ".join(map(_called, away))
    text = f"{out:,} of {view.slots * view.replicas:,} copies are out of reach with {names}"
    none = left.count(0)
    if none:
        return fail(
            "copies",
            f"{text}; of {none:,} slots no copy is left that answers: their messages and results wait until one does",
            "start these servers again, with their disks: what stands nowhere else comes back with them; and do not "
            "empty or remove them before",
        )
    stuck = sum(count < view.copies_needed(slot) for slot, count in enumerate(left))
    if stuck:
        return fail(
            "copies",
            f"{text}; nothing is lost, but {stuck:,} slots have too few copies left for a change to count: there "
            "nothing is accepted until another answers",
            "start these servers again, with their disks",
        )
    return warn(
        "copies",
        f"{text}; nothing is lost, every slot has as many copies left as are needed to go on",
        "nothing at once: the others take over within seconds, if a worker or a `taskmesh scheduler` runs and a "
        "majority of the acceptors takes part (see agreement below); then bring the server back, or another one",
    )
