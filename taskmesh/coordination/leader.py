"""The leader: who sees to schedules, as the register `leader` says.

The holder raises a counter in the register every `RENEW_S`. A challenger that has seen the same counter for longer than
a lease, by its own clock, bids: it takes the place in one change of the register, with a greater *token*, and only if
the register still says what it had seen. No clock is compared with another, and no wall clock counts.

A lease saves work; only the token makes it safe. A holder that was stopped for a minute does not know it, so whatever
the leader does carries its token, and the node refuses one that is older than the greatest it knows (Gray and Cheriton
1989; Chubby, section 2.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from taskmesh.consensus.registers import Change, Keep, Refuse, Verdict, Versioned, Write
from taskmesh.coordination.content import Content
from taskmesh.coordination.lease import safe_until_s, silent_s
from taskmesh.coordination.token import following
from taskmesh.errors import LeadershipLost

REGISTER: Final = "leader"
FORMAT: Final = 1
#: How long a renewal counts, and how often it is made.
LEASE_S, RENEW_S = 6.0, 2.0
#: How long the holder may act after it sent a renewal that was agreed upon.
ACT_S = safe_until_s(0.0, LEASE_S)
#: How long a challenger sees the same before it bids.
CHALLENGE_S = silent_s(LEASE_S)
#: Handovers that are kept for people.
CHANGES_MAX = 8


class Handover(msgspec.Struct, frozen=True, array_like=True):
    """One change of the leader. An array in this order: new fields go at the end.

    Attributes:
        at_ms: When, Unix time of whoever made it: for people.
        token: Of the leader who came or went.
        name: Its name.
        what: `elected`, or `resigned`.
    """

    at_ms: int
    token: int
    name: str
    what: str


class Leader(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the register holds, as a map: fields that this version does not know are passed over.

    Attributes:
        token: Of the holder, or of the last one there was. It only grows.
        holder: 16 hex digits, drawn at each start of a candidate; empty while nobody leads.
        renewals: How often this holder renewed.
        name: Of the holder, for people.
        address: Its host and process, for people.
        since_ms: When it was elected, Unix time: for people.
        changes: The last handovers, the latest last.
        witnesses: Instance id of an acceptor -> how often it had written. One that shows less has forgotten.
        renewed_ms: When the holder was elected or renewed last, Unix time of the holder: for people.
        format: Of this struct.
    """

    token: int = 0
    holder: str = ""
    renewals: int = 0
    name: str = ""
    address: str = ""
    since_ms: int = 0
    changes: tuple[Handover, ...] = ()
    witnesses: dict[str, int] = msgspec.field(default_factory=dict)
    renewed_ms: int = 0
    format: int = FORMAT

    @property
    def mark(self) -> Mark:
        """What changes with each renewal and each handover."""
        return Mark(self.token, self.holder, self.renewals)


class Mark(NamedTuple):
    """What a challenger compares."""

    token: int
    holder: str
    renewals: int


_CONTENT: Final = Content(Leader, "what the register of the leader holds", FORMAT)


def pack_leader(leader: Leader) -> bytes:
    """Return the register's content."""
    return _CONTENT.pack(leader)


def unpack_leader(content: bytes | None) -> Leader:
    """Return what the register holds; that nobody ever led, when it was never written.

    Raises:
        NewerFormat, Malformed: It cannot be read.
    """
    return Leader() if content is None else _CONTENT.unpack(content)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who stands for election.

    Attributes:
        id: 16 hex digits, others at each start.
        name: For people.
        address: Host and process, for people.
    """

    id: str
    name: str
    address: str


def least_token(generation: int, known: int) -> int:
    """Return the least token that a new leader may have, so that it is greater than any before.

    Args:
        generation: How often the embedded node was started, which it does not forget; 0 elsewhere.
        known: The greatest that the data node was told of: registers may have been lost that it outlasted.
    """
    return following(known, generation)


# -- changes ------------------------------------------------------------------------------


def bid(candidate: Candidate, seen: Mark, *, token_min: int = 1, now_ms: int) -> Change:
    """Return the change by which a candidate takes the lead: its answer is the token, or nothing if another was faster.

    Args:
        candidate: Who bids.
        seen: What it saw for so long that the lease has lapsed; or that nobody leads.
        token_min: The least token that it may have, see `least_token`.
        now_ms: Unix time, for people.
    """

    def change(found: Versioned) -> Verdict:
        old = unpack_leader(found.content)
        if old.mark != seen:
            return Keep()
        token = max(old.token + 1, token_min)
        new = Leader(
            token=token,
            holder=candidate.id,
            name=candidate.name,
            address=candidate.address,
            since_ms=now_ms,
            changes=_noted(old, Handover(now_ms, token, candidate.name, "elected")),
            witnesses=old.witnesses,
            renewed_ms=now_ms,
        )
        return Write(pack_leader(new), answer=b"%d" % token)

    return change


def renew(candidate: Candidate, token: int, witnesses: dict[str, int], now_ms: int) -> Change:
    """Return the change by which the holder shows that it is there.

    Args:
        candidate: Who leads.
        token: Since when.
        witnesses: Of acceptors, how often they had written before this; higher numbers stay.
        now_ms: Unix time, for people.

    Raises:
        LeadershipLost: From the change: another leads.
    """

    def change(found: Versioned) -> Verdict:
        old = unpack_leader(found.content)
        if (old.holder, old.token) != (candidate.id, token):
            return _lost(old, token)
        counts = {
            **old.witnesses,
            **{key: max(count, old.witnesses.get(key, 0)) for key, count in witnesses.items()},
        }
        renewed = replace(old, renewals=old.renewals + 1, witnesses=counts, renewed_ms=now_ms)
        return Write(pack_leader(renewed))

    return change


def resign(candidate: Candidate, token: int, now_ms: int) -> Change:
    """Return the change by which the holder lets others lead at once; it changes nothing if another does already."""

    def change(found: Versioned) -> Verdict:
        old = unpack_leader(found.content)
        if (old.holder, old.token) != (candidate.id, token):
            return Keep()
        changes = _noted(old, Handover(now_ms, token, candidate.name, "resigned"))
        return Write(pack_leader(Leader(token=token, changes=changes, witnesses=old.witnesses)))

    return change


def _noted(old: Leader, handover: Handover) -> tuple[Handover, ...]:
    return (*old.changes, handover)[-CHANGES_MAX:]


def _lost(found: Leader, token: int) -> Refuse:
    now = f"{found.name} leads" if found.holder else "nobody leads"
    return Refuse(LeadershipLost(f"the lead with token {token} is over: {now}, token {found.token}"))


# -- leases -------------------------------------------------------------------------------


class Tenure:
    """The holder's side of its lease: whether it may act."""

    __slots__ = ("_until_s", "token")

    def __init__(self, token: int) -> None:
        """Begin with a lease that has lapsed; `renewed` says more."""
        self.token = token
        self._until_s: float | None = None

    def renewed(self, sent_s: float) -> None:
        """Take over a renewal, or a bid, that was agreed upon.

        Args:
            sent_s: The time just before it was sent, by a clock that also goes while the machine sleeps.
        """
        self._until_s = sent_s + ACT_S

    def holds(self, now_s: float) -> bool:
        """Tell whether the holder may act now."""
        return self._until_s is not None and now_s < self._until_s


class Watch:
    """A challenger's side of another's lease: whether it has lapsed for certain, if clocks obey."""

    __slots__ = ("_since_s", "mark")

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.mark: Mark | None = None
        self._since_s = 0.0

    def saw(self, mark: Mark, now_s: float) -> None:
        """Take over what the register said, after it was heard."""
        if mark != self.mark:
            self.mark, self._since_s = mark, now_s

    def may_bid(self, now_s: float) -> bool:
        """Tell whether nobody leads, or the holder has shown nothing new for longer than its lease."""
        if self.mark is None:
            return False
        return not self.mark.holder or now_s - self._since_s >= CHALLENGE_S
