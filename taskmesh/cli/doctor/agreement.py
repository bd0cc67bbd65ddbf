"""Checks of what is agreed upon: whether a majority of the acceptors is there, and whether somebody leads."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from taskmesh.app import TaskMesh
from taskmesh.cli.acceptor_list import acceptor_findings
from taskmesh.cli.doctor.finding import Finding, fail, ok, warn
from taskmesh.cli.target import Target
from taskmesh.consensus.quorum import majority
from taskmesh.coordination.leading import leading
from taskmesh.errors import AgreementError
from taskmesh.nodes.acceptor_care import AcceptorCare, AcceptorReport


def check_agreement(mesh: TaskMesh, target: Target) -> Iterator[Finding]:
    """Look at the acceptors, and at who leads."""
    reports = AcceptorCare(mesh.agreement).reports()
    yield from acceptor_findings(reports)
    if not any(report.configuration for report in reports):
        return  # nothing was ever agreed upon, so nothing can be missed
    there = sum(report.standing.takes_part for report in reports)
    if there < majority(len(reports)):
        yield _no_majority(reports, there)
        return
    try:
        yield check_leader(mesh, target.worker_command(mesh.name))
    except AgreementError as error:
        yield fail("leader", str(error), "look at the acceptors' logs")


def _no_majority(reports: Sequence[AcceptorReport], there: int) -> Finding:
    lost = "".join(
        f" --lost {report.standing.address}" for report in reports if report.standing.looked is None
    )
    return fail(
        "agreement",
        f"{there} of {len(reports)} acceptors take part, and {majority(len(reports))} must: schedules do not fire, and "
        "locks are not given",
        "bring back their servers with their disks. Only if those are lost: "
        f"taskmesh acceptors readmit --accept-loss{lost}",
    )


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
