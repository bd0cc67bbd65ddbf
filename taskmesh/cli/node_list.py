"""The nodes of a mesh of several, as `taskmesh nodes` shows them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from taskmesh.cli.output import as_size, facts, table_or_list
from taskmesh.core.steps import Call
from taskmesh.errors import NodeFault, NodeUnavailable
from taskmesh.nodes.node_facts import NodeFacts, read_facts
from taskmesh.replication.ask import look
from taskmesh.replication.founding import Stand, read_stand
from taskmesh.replication.history import KEPT, Change, read_changes
from taskmesh.replication.holding import Holding, read_holding
from taskmesh.replication.scripts import STAND
from taskmesh.replication.view import DRAINED, MOVING, UP, Member, View, copies_missing

if TYPE_CHECKING:
    from rich.console import RenderableType

    from taskmesh.core.steps import Session, Steps
    from taskmesh.nodes.link import Link

#: How long one node may take to answer.
LOOK_S = 2.0
#: How many are asked side by side.
ASKED_AT_ONCE = 32
_SILENT = "does not answer: "
#: The state of a member that was taken out for good.
REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Told:
    """What a node says of itself.

    Attributes:
        facts: Of its server.
        stand: As a member.
        holding: Of the slots that the view says it keeps.
        changes: Of the view, as far as it was told.
    """

    facts: NodeFacts
    stand: Stand
    holding: Holding
    changes: list[Change]


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One member.

    Attributes:
        member: As the view has it.
        led: How many slots it leads.
        held: How many it keeps a copy of, those included.
        told: What it says; None if it does not answer.
        trouble: Why it does not; empty if it does.
        is_silent: Whether it said nothing for as long as it was waited for.
        is_removed: Whether it was taken out for good; the view shows it as it shows drained ones.
    """

    member: Member
    led: int
    held: int
    told: Told | None
    trouble: str
    is_silent: bool
    is_removed: bool = False

    @property
    def state(self) -> str:
        """What it is, for people and programs."""
        return REMOVED if self.is_removed else self.member.state

    @property
    def is_missed(self) -> bool:
        """Whether it does not answer, though it is to keep something."""
        return self.told is None and self.member.state != DRAINED

    def as_json(self) -> dict[str, Any]:
        """Return what programs may want to know."""
        member, told = self.member, self.told
        document: dict[str, Any] = {
            "id": member.id,
            "address": member.address,
            "state": self.state,
            "weight": member.weight,
            "domain": member.domain or None,
            "slots_led": self.led,
            "slots_held": self.held,
            "answers": told is not None,
            "trouble": self.trouble or None,
            "epoch": told.stand.epoch.decode() if told else None,
            "records": {"live": told.holding.live, "final": told.holding.final} if told else None,
        }
        return document | (told.facts.as_json() if told else {})


def node_reports(link: Link, view: View) -> list[NodeReport]:
    """Ask each member how it is; all at once, so that those who are silent are waited for once."""
    members = view.members
    with ThreadPoolExecutor(min(len(members), ASKED_AT_ONCE)) as pool:
        return list(pool.map(lambda member: _report(link, view, member), members))


def _report(link: Link, view: View, member: Member) -> NodeReport:
    led, held = view.led_by(member.id), view.held_by(member.id)
    told, trouble = None, ""
    until_s = time.monotonic() + LOOK_S
    try:
        told = link.at(member.id).run(_tell(link.session, held), within_s=LOOK_S)
    except (NodeUnavailable, NodeFault) as error:
        trouble = _trouble(str(error), member.address)
    is_silent = told is None and time.monotonic() >= until_s
    return NodeReport(member, len(led), len(held), told, trouble, is_silent)


def _trouble(text: str, address: str) -> str:
    """Return why a node does not answer without what the table says already."""
    why = text.removeprefix("the node did not answer: ").removeprefix(f"{address}: ")
    return f"{_SILENT}{why.replace('no answer', 'nothing came')}" if why != text else text


def _tell(session: Session, held: Sequence[int]) -> Steps[Told]:
    found = yield from read_facts(session)
    stand = yield from look(session, Call(STAND, session.prefix, ()))
    holding = yield from read_holding(session, held)
    return Told(found, read_stand(stand), holding, (yield from read_changes(session)))


def copies_of_each(view: View) -> str:
    """Return how many copies are wanted of each slot, in words."""
    return f"{view.replicas} {'copy' if view.replicas == 1 else 'copies'} of each slot"


def view_as_json(view: View, changes: Sequence[Change]) -> dict[str, Any]:
    """Return what programs may want to know of the view."""
    return {
        "number": view.number,
        "phase": view.phase,
        "slots": view.slots,
        "replicas": view.replicas,
        "copies_missing": copies_missing(view),
        "last_failover": _change_as_json(_last_failover(changes)),
        "changes": [_change_as_json(change) for change in changes],
    }


def _change_as_json(change: Change | None) -> dict[str, Any] | None:
    if change is None:
        return None
    return {
        "view": change.number,
        "why": change.why,
        "active_at": _at(change),
        "took_s": change.took_s,
        "failover": change.is_failover,
    }


def view_facts(mesh: str, view: View, changes: Sequence[Change], away: int, lack: str) -> RenderableType:
    """Return what people may want to know of the view.

    Args:
        mesh: Its name.
        view: The newest.
        changes: The last ones.
        away: How many copies of slots are on nodes that do not answer.
        lack: Why no fail-over can happen; empty if one can.
    """
    missing, copies = copies_missing(view), view.slots * view.replicas
    lacking = f"{missing:,} of {copies:,}" if missing else "none"
    last = _last_failover(changes)
    moving = ", being made: slots that move stand still" if view.phase == MOVING else ""
    return facts(
        f"nodes of mesh {mesh}",
        [
            ("view", f"{view.number}{moving}"),
            (
                "slots",
                f"{view.slots:,}, {view.replicas} {'copy' if view.replicas == 1 else 'copies'} of each",
            ),
            ("copies missing", lacking),
            *(
                [("out of reach", f"{away:,} of {copies:,} copies: their nodes do not answer")]
                if away
                else []
            ),
            *([("fail-over", f"impossible: {lack}")] if lack else []),
            (
                "last fail-over",
                "none" if last is None else f"{_at(last)}, in {_took(last.took_s)}: {last.why}",
            ),
        ],
    )


def node_table(reports: Sequence[NodeReport]) -> RenderableType:
    """Return the members as a table."""
    return table_or_list(
        "members",
        [
            "node",
            "address",
            "state",
            "epoch",
            "leads",
            "keeps",
            "records",
            "weight",
            "server",
            "memory",
            "says",
        ],
        [_row(report) for report in reports],
        numbers=["leads", "keeps", "records", "weight"],
    )


def _row(report: NodeReport) -> tuple[object, ...]:
    member, told = report.member, report.told
    name = f"{member.id} in {member.domain}" if member.domain else member.id
    # the view may be slow to say so, or nobody there to change it
    answers = "" if told is not None or member.state != UP else ", no answer"
    head = (name, member.address, f"{report.state}{answers}")
    if told is None:
        return (*head, None, report.led, report.held, None, member.weight, None, None, report.trouble)
    server = f"{told.facts.product} {told.facts.version}"
    records = told.holding.live + told.holding.final
    memory = as_size(told.facts.memory_used)
    return (
        *head,
        told.stand.epoch.decode(),
        report.led,
        report.held,
        records,
        member.weight,
        server,
        memory,
        "answers",
    )


def changes_of(reports: Sequence[NodeReport]) -> list[Change]:
    """Return the last changes of the view, the newest first, as the members together know them.

    Raises:
        NodeUnavailable: None of them answers.
    """
    if all(report.told is None for report in reports):
        # who keeps nothing is missed by nobody, and its server may have been ended for good
        missed = [report for report in reports if report.is_missed] or reports
        whys = dict.fromkeys(report.trouble.removeprefix(_SILENT) for report in missed)
        raise NodeUnavailable(f"no node answers: {'; '.join(whys)}", node=missed[0].member.address)
    known = {change.number: change for report in reports if report.told for change in report.told.changes}
    return [known[number] for number in sorted(known, reverse=True)][:KEPT]


def _last_failover(changes: Sequence[Change]) -> Change | None:
    return next((change for change in changes if change.is_failover), None)


def _took(took_s: float) -> str:
    return f"{took_s:.1f} s" if took_s >= 1 else f"{took_s * 1000:.0f} ms" if took_s else "less than 1 ms"


def _at(change: Change) -> str:
    return datetime.fromtimestamp(change.active_ms / 1000, UTC).isoformat(timespec="seconds")
