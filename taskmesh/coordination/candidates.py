"""Who stands for leader, as candidates say on the nodes: for people, who are to see that nobody stands by.

Nothing is decided by it but how often candidates look at the register: of a large fleet some stand by, who say so, and
the others stand back. A candidate that is killed is still told of for some seconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from taskmesh.coordination.leader import Candidate
from taskmesh.core import keys
from taskmesh.core.printable import in_one_line
from taskmesh.core.steps import Call, Session, Steps

#: How often a candidate says that it stands, and for how long that counts.
TELL_S, COUNTS_S = 2.0, 7.0
#: What nobody renews for so long, the leader has the nodes forget.
FORGOTTEN_S = 60.0
#: So many stand by, of one host so many, for it may be lost as a whole. Each says so on every node, and looks often who
#: leads: all of a large fleet would keep the nodes busy. Who stands back looks about so often whether they still do.
STAND_BY_MAX, OF_HOST_MAX, STAND_BACK_S = 16, 4, 10.0
#: Of more notes than that it is not read whose they are: they were all made at once.
_READ_MAX = 256
#: Characters of a name that are shown.
_NAME_MAX = 100


@dataclass(frozen=True, slots=True)
class CandidateSeen:
    """One that stands for leader.

    Attributes:
        name: For people.
        address: Its host and process, for people.
        leads: Whether it said that it leads.
        told_ms: When it said so, on the clock of the nodes.
    """

    name: str
    address: str
    leads: bool
    told_ms: int

    @property
    def host(self) -> str:
        """Its host."""
        return _host_of(self.address)

    def counts(self, now_ms: int) -> bool:
        """Tell whether it said so lately.

        Args:
            now_ms: On the clock of the nodes.
        """
        return now_ms - self.told_ms <= COUNTS_S * 1000

    def as_json(self) -> dict[str, Any]:
        """Return what programs may want to know."""
        return {"name": self.name, "process": self.address, "leads": self.leads}


def tell(session: Session, candidate: Candidate, *, leads: bool) -> Steps[None]:
    """Say that a candidate stands.

    Args:
        session: To a node; each is to be told.
        candidate: Who.
        leads: Whether it leads, and its lease lasts.
    """
    key = keys.candidates(session.prefix)
    note = {"name": candidate.name, "address": candidate.address, "leads": leads, "told_ms": session.now_ms()}
    yield [Call(None, b"", (b"HSET", key, candidate.id.encode(), json.dumps(note).encode()))]


def withdraw(session: Session, ids: Sequence[str]) -> Steps[None]:
    """Say that candidates stand no more.

    Args:
        session: To a node; each is to be told.
        ids: Of the candidates, at least one.
    """
    words = (b"HDEL", keys.candidates(session.prefix), *(each.encode() for each in ids))
    yield [Call(None, b"", words)]


def heard(session: Session) -> Steps[list[bytes]]:
    """Return what candidates have said on a node, each behind its id."""
    (reply,) = yield [Call(None, b"", (b"HGETALL", keys.candidates(session.prefix)))]
    return reply if isinstance(reply, list) else []


def is_needed(
    session: Session, candidate: Candidate, chance: Callable[[], float], *, has_told: bool
) -> Steps[bool]:
    """Tell whether a candidate is to stand by: whether too few others do.

    Args:
        session: To a node, any.
        candidate: Who.
        chance: Returns a number below 1, which decides who goes on where very many stand by.
        has_told: Whether it stands by now.
    """
    (count,) = yield [Call(None, b"", (b"HLEN", keys.candidates(session.prefix)))]
    if not isinstance(count, int) or count < OF_HOST_MAX:
        return True
    if count > _READ_MAX:
        return has_told and chance() < STAND_BY_MAX / count
    now_ms, found = session.now_ms(), read_notes((yield from heard(session)))
    # of those that stand by the first go on, so that not all of them end at once
    others = [
        seen
        for who, seen in found.items()
        if who != candidate.id
        and not seen.leads
        and seen.counts(now_ms)
        and (who < candidate.id or not has_told)
    ]
    host = _host_of(candidate.address)
    return len(others) < STAND_BY_MAX and sum(each.host == host for each in others) < OF_HOST_MAX


def _host_of(address: str) -> str:
    return address.rpartition(":")[0]


def read_notes(words: Sequence[bytes]) -> dict[str, CandidateSeen]:
    """Return what candidates have said, by their ids; of one that said something on several nodes, the latest.

    Args:
        words: Ids, each with a note behind it; anybody may have written there, so what cannot be read is passed over.
    """
    found: dict[str, CandidateSeen] = {}
    for who, note in zip(words[::2], words[1::2], strict=False):
        name, seen = who.decode(errors="replace"), _read(note)
        if seen is not None and (name not in found or found[name].told_ms < seen.told_ms):
            found[name] = seen
    return found


def _read(note: bytes) -> CandidateSeen | None:
    try:
        said = json.loads(note)
        return CandidateSeen(
            in_one_line(str(said["name"]))[:_NAME_MAX],
            in_one_line(str(said["address"]))[:_NAME_MAX],
            bool(said["leads"]),
            int(said["told_ms"]),
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def live(found: Iterable[CandidateSeen], now_ms: int) -> tuple[CandidateSeen, ...]:
    """Return those who said lately that they stand: the leader first, then by name.

    Of two that both say that they lead, as in the moment of a handover, the one that said so last does.

    Args:
        found: All.
        now_ms: On the clock of the nodes.
    """
    lately = [each for each in found if each.counts(now_ms)]
    return tuple(sorted(lately, key=lambda each: (not each.leads, -each.told_ms * each.leads, each.name)))


def outdated(found: dict[str, CandidateSeen], now_ms: int) -> list[str]:
    """Return the ids of those who have said nothing for long."""
    return [who for who, each in found.items() if now_ms - each.told_ms > FORGOTTEN_S * 1000]
