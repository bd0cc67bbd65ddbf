"""Checks of what is agreed upon: whether a majority of the acceptors is there, and whether somebody leads."""

from __future__ import annotations

import time
from collections.abc import Iterator

from taskmesh.app import TaskMesh
from taskmesh.cli.acceptor_list import acceptor_findings, remedy_of_too_few, too_few
from taskmesh.cli.doctor.finding import Finding, fail, ok, warn
from taskmesh.cli.target import Target
from taskmesh.coordination.leading import leading
from taskmesh.errors import AgreementError
from taskmesh.nodes.acceptor_care import AcceptorCare


def check_agreement(mesh: TaskMesh, target: Target) -> Iterator[Finding]:
    """Look at the acceptors, and at who leads."""
    reports = AcceptorCare(mesh.agreement).reports()
    yield from acceptor_findings(reports)
    if not any(report.configuration for report in reports):
        return  # nothing was ever agreed upon, so nothing can be missed
    lack = too_few(reports)
    if lack:
        yield fail(
            "agreement",
            f"{lack}: schedules do not fire, and locks are not given{_nor_failover(mesh)}",
            remedy_of_too_few(reports),
        )
        return
    try:
        yield check_leader(mesh, target.worker_command(mesh.name))
    except AgreementError as error:
        yield fail("leader", str(error), "look at the acceptors' logs")


def _nor_failover(mesh: TaskMesh) -> str:
    return ", and no fail-over can happen" if mesh.link.view is not None else ""


def check_leader(mesh: TaskMesh, command: str) -> Finding:
    """Look whether somebody fires the schedules, if there are any.

    Args:
        mesh: Which.
        command: What starts a worker.

    Raises:
        AgreementError: Too few acceptors answered.
    """
    agreement = mesh.agreement
    found, lives = agreement.run(leading(agreement.registers, int(time.time() * 1000)))
    if lives:
        return ok("leader", f"{found.name} ({found.address})")
    waiting = [view for view in mesh.schedules.list() if view.coming()]
    gone = f"{found.name} ({found.address}) is gone, and nobody" if found.holder else "nobody"
    if not waiting:
        return ok("leader", f"{gone} leads; no schedule waits for it")
    what = "1 schedule does" if len(waiting) == 1 else f"{len(waiting):,} schedules do"
    return warn(
        "leader",
        f"{gone} leads: {what} not fire",
        f"start a worker or a scheduler: {command}, or taskmesh scheduler",
    )
