"""Which registers there are, and which changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from taskmesh.consensus.configuration import ROOT, Configuration
from taskmesh.consensus.group import ELSEWHERE, in_words, why_silent
from taskmesh.consensus.quorum import majority
from taskmesh.consensus.reconfigure import completed
from taskmesh.consensus.registers import PAUSE_S_MIN, Registers
from taskmesh.consensus.scripts import CHANGES
from taskmesh.core.steps import OUT, Call, GroupSteps, Pause, Reply, Round
from taskmesh.errors import NoMajority

#: Names that an acceptor tells at once.
AT_ONCE = 1000


def names(registers: Registers, prefix: str) -> GroupSteps[list[str]]:
    """Return the names of the registers that exist and begin so, sorted.

    Raises:
        NoMajority: Too few acceptors answered in time.
    """
    told, _ = yield from changes(registers, {}, prefix)
    some = sorted(told)
    found = yield from registers.read_many(some)
    return [name for name in some if found[name].content is not None]


def changes(
    registers: Registers, since: Mapping[str, int], prefix: str = ""
) -> GroupSteps[tuple[set[str], dict[str, int]]]:
    """Return which registers may have changed since an earlier call: every one that did, and perhaps others.

    A change that was chosen was accepted by a majority, so whoever hears another majority hears of it from one at
    least. But what was deleted is left behind when other acceptors take over: if `anew` says that this happened, all
    registers that there are, are told, and what the caller knew and does not hear of, does not exist any more.

    Args:
        registers: Where.
        since: What the call before returned; empty for all registers.
        prefix: Only names which begin so.

    Raises:
        NoMajority: Too few acceptors answered in time.
    """
    give_up_s = registers.now_s() + registers.patience_s
    while True:
        configuration = yield from completed(registers)
        told = yield from _told(registers.prefix, configuration, since)
        if not isinstance(told, list):
            some, until = told
            return {name for name in some if name.startswith(prefix) and name != ROOT}, until
        if any(isinstance(reply, list) and reply[0] in ELSEWHERE for reply in told):
            yield from registers.chain.follow()
        if registers.now_s() >= give_up_s:
            raise NoMajority(
                f"registers cannot be listed: no majority of the acceptors answered within {registers.patience_s:g} s: "
                f"{_why(configuration, told)}",
                register=prefix,
            )
        yield Pause(registers.chance.uniform(0, PAUSE_S_MIN * 4))


def anew(since: Mapping[str, int], until: Mapping[str, int]) -> bool:
    """Tell whether other acceptors took over between two calls of `changes`, by what they returned."""
    return bool(since) and not since.keys() & until.keys()


def _told(
    prefix: bytes, configuration: Configuration, since: Mapping[str, int]
) -> GroupSteps[tuple[set[str], dict[str, int]] | list[Reply]]:
    """Return the names that a majority tells, and up to which counts; or what they replied where there is none."""
    members = configuration.members
    # counts of an earlier configuration say nothing of this one
    keys = [f"{configuration.number}/{member.instance}" for member in members]
    until = {key: since.get(key, 0) for key in keys}
    found: set[str] = set()
    heard: set[int] = set()
    needed = majority(len(members))
    while True:
        calls = [
            Call(
                CHANGES,
                prefix,
                (member.instance.encode(), b"%d" % configuration.number, b"%d" % until[key], b"%d" % AT_ONCE),
                node=member.address,
            )
            for member, key in zip(members, keys, strict=True)
        ]

        def is_enough(replies: Sequence[Reply]) -> bool:
            return sum(_is_told(reply) for reply in replies) >= needed or OUT not in replies

        replies = yield Round(calls, is_enough)
        told = 0
        for at, reply in enumerate(replies):
            if not _is_told(reply):
                continue
            told += 1
            found.update(name.decode() for name in reply[2:])
            until[keys[at]] = int(reply[1])
            if len(reply) - 2 < AT_ONCE:
                heard.add(at)
        if len(heard) >= needed:
            return found, until
        if told < needed:
            return list(replies)


def _why(configuration: Configuration, replies: Sequence[Reply]) -> str:
    """Say for people what kept a majority from telling; those that told are not blamed."""
    said = [
        in_words(reply) if isinstance(reply, list) else why_silent(member.address, reply)
        for member, reply in zip(configuration.members, replies, strict=True)
        if reply is not OUT and not _is_told(reply)
    ]
    return "; ".join(dict.fromkeys(said))


def _is_told(reply: Reply) -> bool:
    return isinstance(reply, list) and reply[0] == b"CHANGED"
