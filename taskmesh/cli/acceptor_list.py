"""Acceptors as a table, and as findings of `taskmesh doctor`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from taskmesh.cli.doctor.finding import Finding, fail, ok, warn
from taskmesh.cli.output import table_or_list
from taskmesh.consensus.keeping import Kept
from taskmesh.consensus.quorum import majority
from taskmesh.nodes.acceptor_care import NOT_USED, AcceptorReport
from taskmesh.nodes.address import DATA_NODE

if TYPE_CHECKING:
    from rich.console import RenderableType


def acceptor_table(reports: Sequence[AcceptorReport]) -> RenderableType:
    """Return the acceptors as a table."""
    return table_or_list(
        "acceptors",
        ["address", "instance", "takes part", "configuration", "keeps", "when full", "run", "what to do"],
        [
            (
                report.standing.address,
                report.standing.looked.instance if report.standing.looked else None,
                _part(report),
                report.configuration or None,
                report.keeps or "unknown",
                report.keeping.policy if report.keeping else None,
                report.standing.looked.run[:8] if report.standing.looked else None,
                report.standing.remedy or "; ".join(f"{each.text}: {each.remedy}" for each in report.unsafe),
            )
            for report in reports
        ],
        numbers=["configuration"],
    )


def _part(report: AcceptorReport) -> str:
    if report.is_unused:
        return NOT_USED
    return "yes" if report.standing.takes_part else f"no: {report.standing.why}"


def too_few(reports: Sequence[AcceptorReport]) -> str:
    """Say that so few acceptors take part that nothing can be agreed upon; empty if enough do."""
    there = sum(report.standing.takes_part for report in reports)
    needed = majority(len(reports))
    return "" if there >= needed else f"{there} of {len(reports)} acceptors take part, and {needed} must"


def remedy_of_too_few(reports: Sequence[AcceptorReport]) -> str:
    """Return what to do where too few acceptors take part."""
    away = [report.standing.address for report in reports if report.standing.looked is None]
    lost = "".join(f" --lost {address}" for address in away)
    return (
        "bring back their servers with their disks. Only if those are lost: "
        f"taskmesh acceptors readmit --accept-loss{lost}"
    )


def acceptor_findings(reports: Sequence[AcceptorReport]) -> Iterator[Finding]:
    """Say of each acceptor how it is."""
    out = sum(not report.standing.takes_part for report in reports)
    needed = majority(len(reports))
    for report in reports:
        check = "acceptor" if report.standing.address == DATA_NODE else f"acceptor {report.standing.address}"
        standing = report.standing
        if not standing.takes_part:
            level = fail if len(reports) - out < needed else warn
            yield level(check, standing.why, standing.remedy)
            continue
        unsafe = report.unsafe
        if report.is_unused and not unsafe:
            yield ok(check, NOT_USED)
        elif unsafe:
            may_forget = any(each.kept == Kept.NOTHING for each in unsafe)
            text = "; ".join(each.text for each in unsafe)
            more = ": when it is started anew it may have forgotten, and is replaced" if may_forget else ""
            part = NOT_USED if report.is_unused else "takes part"
            yield warn(check, f"{part}; {text}{more}", "; ".join(each.remedy for each in unsafe))
        else:
            kept = report.keeps or "the node itself"
            yield ok(check, f"takes part, configuration {report.configuration}, {kept}")
