"""One proposal: the two phases, as Paxos Made Simple 2.2 and 2.5 have them and CASPaxos 2.1 uses them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from taskmesh.consensus.ballot import NONE, Ballot, read_ballot
from taskmesh.consensus.configuration import Configuration
from taskmesh.consensus.group import Answers, ask_group
from taskmesh.consensus.quorum import majority
from taskmesh.consensus.scripts import ACCEPT, ACCEPT_ALL, PEEK, PREPARE, PREPARE_ALL
from taskmesh.consensus.value import digest
from taskmesh.core.steps import GroupSteps
from taskmesh.errors import InvariantBroken


@dataclass(frozen=True, slots=True)
class Found:
    """What a majority has accepted of one register.

    Attributes:
        packed: The value with the highest ballot; empty for none.
        ballot: That.
        chosen: Whether a majority accepted just this: it is the register's value, and no round is needed to say so.
    """

    packed: bytes
    ballot: Ballot
    chosen: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """A phase that no majority agreed to.

    Attributes:
        highest: The highest ballot that stood against it; `NONE` if it was something else.
        ahead_of: The count that acceptors knew who found this ballot too far ahead; None if nobody did.
        elsewhere: The configuration is another one now.
        silent: Nobody objected; too few said anything.
        why: For people.
    """

    highest: Ballot
    ahead_of: int | None
    elsewhere: bool
    silent: bool
    why: str


def highest_of(name: str, size: int, told: Iterable[list[bytes]]) -> Found:
    """Return what a majority has accepted, of what its members told: n, proposer, digest, value each.

    Raises:
        InvariantBroken: Two values of one ballot.
    """
    best, packed, mark, alike = NONE, b"", b"", 0
    for n, proposer, value_digest, value in told:
        ballot = read_ballot(n, proposer)
        if ballot == best:
            if value_digest != mark and ballot != NONE:
                raise InvariantBroken(
                    f"register {name}: two values of ballot {ballot}: {mark!r}, {value_digest!r}"
                )
            alike += 1
        elif ballot > best:
            best, packed, mark, alike = ballot, value, value_digest, 1
    return Found(packed, best, best != NONE and alike >= majority(size))


def prepare(
    prefix: bytes, configuration: Configuration, name: str, ballot: Ballot
) -> GroupSteps[Found | Lost]:
    """First phase: have a majority promise to take no lower ballot, and learn what was accepted."""
    members = configuration.members
    answers = yield from ask_group(
        prefix,
        members,
        PREPARE,
        b"%d" % configuration.number,
        name.encode(),
        *ballot.words(),
        agrees=b"PROMISED",
    )
    return highest_of(name, len(members), answers.agreed.values()) if answers.won else _lost(answers)


def accept(
    prefix: bytes,
    configuration: Configuration,
    name: str,
    ballot: Ballot,
    packed: bytes,
    *,
    promise_next: bool,
) -> GroupSteps[Lost | None]:
    """Second phase: have a majority accept a value. The ballot is spent when this is called.

    Args:
        prefix: Of the mesh's keys.
        configuration: Whose majority.
        name: Of the register.
        ballot: One for which a majority gave its promise.
        packed: The value.
        promise_next: The next ballot of the same proposer is promised at once: the next change needs one phase only
            (CASPaxos, 2.2.1).

    Returns:
        None when it is chosen.

    Raises:
        InvariantBroken: The ballot had another value before.
    """
    answers = yield from ask_group(
        prefix,
        configuration.members,
        ACCEPT,
        b"%d" % configuration.number,
        name.encode(),
        *ballot.words(),
        digest(packed),
        packed,
        b"1" if promise_next else b"",
        agrees=b"ACCEPTED",
    )
    for answer in answers.refused:
        if answer[0] == b"FAULT":
            raise InvariantBroken(f"register {name}: ballot {ballot} was used for two values")
    return None if answers.won else _lost(answers)


def prepare_all(
    prefix: bytes, configuration: Configuration, names: Sequence[str], ballot: Ballot
) -> GroupSteps[dict[str, Found]]:
    """First phase of many registers at once, each by itself; those that no majority promised for are left out."""
    members = configuration.members
    answers = yield from ask_group(
        prefix,
        members,
        PREPARE_ALL,
        b"%d" % configuration.number,
        *ballot.words(),
        *(name.encode() for name in names),
        agrees=b"PROMISED",
    )
    found = {}
    for at, name in enumerate(names):
        told = [words[5 * at + 1 : 5 * at + 5] for words in answers.agreed.values() if words[5 * at] == b"1"]
        if len(told) >= majority(len(members)):
            found[name] = highest_of(name, len(members), told)
    return found


def accept_all(
    prefix: bytes, configuration: Configuration, values: Mapping[str, bytes], ballot: Ballot
) -> GroupSteps[set[str]]:
    """Second phase of many registers at once, each by itself. The ballot is spent for all of them.

    Args:
        prefix: Of the mesh's keys.
        configuration: Whose majority.
        values: By register, for each of which a majority gave its promise.
        ballot: That of the promise.

    Returns:
        The registers whose value is chosen.

    Raises:
        InvariantBroken: The ballot had another value before.
    """
    words = [word for name, packed in values.items() for word in (name.encode(), digest(packed), packed)]
    answers = yield from ask_group(
        prefix,
        configuration.members,
        ACCEPT_ALL,
        b"%d" % configuration.number,
        *ballot.words(),
        *words,
        agrees=b"ACCEPTED",
    )
    chosen = set()
    for at, name in enumerate(values):
        told = [words[at] for words in answers.agreed.values()]
        if b"FAULT" in told:
            raise InvariantBroken(f"register {name}: ballot {ballot} was used for two values")
        if told.count(b"ACCEPTED") >= majority(len(configuration.members)):
            chosen.add(name)
    return chosen


def peek(
    prefix: bytes, configuration: Configuration, names: list[str]
) -> GroupSteps[dict[str, Found] | Lost]:
    """Learn what a majority has accepted of some registers, and change nothing."""
    answers = yield from ask_group(
        prefix,
        configuration.members,
        PEEK,
        b"%d" % configuration.number,
        *(name.encode() for name in names),
        agrees=b"ACCEPTED",
    )
    if not answers.won:
        return _lost(answers)
    size = len(configuration.members)
    return {
        name: highest_of(name, size, (told[4 * at : 4 * at + 4] for told in answers.agreed.values()))
        for at, name in enumerate(names)
    }


def _lost(answers: Answers) -> Lost:
    highest, ahead_of = NONE, None
    for answer in answers.refused:
        if answer[0] == b"CONFLICT":
            highest = max(highest, read_ballot(*answer[1:3]))
        elif answer[0] == b"AHEAD":
            ahead_of = max(ahead_of or 0, int(answer[1]))
    return Lost(highest, ahead_of, answers.is_elsewhere, not answers.refused, answers.why())
