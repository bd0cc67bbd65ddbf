"""Who of the acceptors that were started anew may answer again: those that cannot have forgotten.

An acceptor is silent from the start of its server until it is admitted as the process that it is now. Whether it may
be, is told by how its server keeps its data, then and now, and by the *witness*: how often it had written when the
leader last looked, which no disk that is older shows. One that may have forgotten is not admitted, ever: what it is,
another instance at the same address takes over, in a configuration of its own (`replacement.py`). Catching it up would
not do: it might promise anew what it had promised otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from taskmesh.consensus.chain import Looked, look
from taskmesh.consensus.configuration import Configuration, latest_of
from taskmesh.consensus.keeping import Keeping, Kept, read_keeping
from taskmesh.consensus.quorum import majority
from taskmesh.consensus.scripts import ADMIT
from taskmesh.consensus.value import Packing
from taskmesh.core.steps import OUT, Call, GroupSteps, NoAnswer, NodeError, Refused, Reply, Round

#: The register that holds the witnesses, among other things of the leader.
WITNESS_REGISTER = "leader"


class _Witnesses(msgspec.Struct):
    """What is read of that register; the rest is passed over."""

    witnesses: dict[str, int] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rules:
    """What an admission goes by.

    Attributes:
        boot_of: Returns what is different after each start of an acceptor's machine; empty if nobody knows.
        packing: Reads the witnesses.
        trusted: Addresses of those that are admitted whatever they have forgotten.
    """

    boot_of: Callable[[str], str]
    packing: Packing
    trusted: frozenset[str] = frozenset()


class Standing(NamedTuple):
    """How one acceptor stands.

    Attributes:
        address: Where.
        looked: What it says of itself; None if it does not answer.
        why: Why it does not take part; empty if it does.
        remedy: What somebody can do about that.
    """

    address: str
    looked: Looked | None
    why: str = ""
    remedy: str = ""

    @property
    def takes_part(self) -> bool:
        """Whether it answers."""
        return not self.why


def newest_of(standings: Sequence[Standing]) -> Configuration | None:
    """Return the latest configuration that an acceptor knows of; None if none knows any."""
    return latest_of(
        each.looked.latest for each in standings if each.looked is not None and each.looked.latest is not None
    )


def note_of(keeping: Keeping | None, boot: str) -> str:
    """Return what an acceptor notes of itself when it is admitted: how it keeps its data, and since which start."""
    return f"{(keeping.kept if keeping else Kept.NOTHING).name.lower()}:{boot}"


def admit(
    prefix: bytes, addresses: Sequence[str], rules: Rules, *, only_look: bool = False
) -> GroupSteps[list[Standing]]:
    """Admit those that cannot have forgotten anything, and return how each stands now.

    Args:
        prefix: Of the mesh's keys.
        addresses: Of all acceptors that may be members.
        rules: What it goes by.
        only_look: Admit nobody; who would be admitted is said to take part.

    Raises:
        TrustError: The witnesses must not be read.
    """
    refusals: dict[str, str] = {}
    found = yield from look(prefix, addresses, len(addresses), (WITNESS_REGISTER,), refusals)
    out = [each for each in found.values() if each.instance and not each.answers]
    asked = [each.address for each in out if each.address not in rules.trusted]
    keepings = (yield from read_keeping(asked)) if asked else {}
    least = _witnesses(found, rules.packing) if asked else {}
    standings = {}
    for each in out:
        boot = rules.boot_of(each.address)
        keeping = keepings.get(each.address)
        if each.address in rules.trusted:
            why, remedy, at_least = "", "", 0
        else:
            why, remedy = _doubt(each, keeping, boot, known=least is not None)
            at_least = (least or {}).get(each.instance, 0)
            if not why and each.count < at_least:
                why, remedy = _behind(each.count, at_least)
        if not why and not only_look:
            why, remedy = yield from _admit(prefix, each, at_least, note_of(keeping, boot))
        standings[each.address] = Standing(each.address, each, why, remedy)
    return [
        standings.get(address) or _standing(address, found.get(address), refusals.get(address, ""))
        for address in addresses
    ]


def silent(address: str) -> Standing:
    """Return how an acceptor stands that does not answer."""
    return _standing(address, None, "")


def _standing(address: str, looked: Looked | None, refusal: str) -> Standing:
    if refusal:
        return Standing(
            address,
            None,
            f"it refuses: {refusal}",
            "give user and password in its address; rediss:// where it wants TLS",
        )
    if looked is None:
        return Standing(address, None, "it does not answer", "start its server, or look at the way to it")
    if not looked.instance:
        return Standing(address, looked, "it is empty", "taskmesh acceptors replace")
    return Standing(address, looked)


def _witnesses(found: Mapping[str, Looked], packing: Packing) -> dict[str, int] | None:
    """Return how often each instance had written at least; None if too few members show what they know.

    A majority is heard, admitted or not: one of them accepted what was chosen last.
    """
    newest = newest_of([Standing(each.address, each) for each in found.values()])
    if newest is None:
        return None
    members = {member.instance for member in newest.members}
    if sum(each.instance in members for each in found.values()) < majority(len(members)):
        return None
    least: dict[str, int] = {}
    for each in found.values():
        packed = each.registers[3] if each.registers else b""
        content = packing.unpack(WITNESS_REGISTER, packed).content if packed else None
        if content is not None:
            known = msgspec.msgpack.decode(content, type=_Witnesses).witnesses
            least = {name: max(least.get(name, 0), known.get(name, 0)) for name in least | known}
    return least


def _doubt(looked: Looked, keeping: Keeping | None, boot: str, *, known: bool) -> tuple[str, str]:
    """Return why an acceptor may have forgotten something, and what to do; two empty texts if it cannot have."""
    if not known:
        return (
            "it waits to be admitted, for which a majority must be there",
            "start the servers of the others",
        )
    if keeping is None:
        return "it does not tell how it keeps its data (INFO is refused)", "let this user of it run INFO"
    word, _, boot_then = looked.boot.partition(":")
    then = next((kept for kept in Kept if kept.name.lower() == word), Kept.NOTHING)
    now = keeping.kept
    if min(then, now) == Kept.POWER:
        return "", ""
    if min(then, now) == Kept.PROCESS and boot and boot == boot_then:
        # a file that is not flushed outlives the process, but not the machine's rest
        return "", ""
    reasons = [each for each in keeping.unsafe if each.kept < Kept.POWER]
    text = ", ".join(each.text for each in reasons) or "when it was last admitted it did not flush each write"
    return f"it may have forgotten: {text}", "taskmesh acceptors replace" + "".join(
        f"; then {each.remedy}" for each in reasons
    )


def _admit(prefix: bytes, looked: Looked, least: int, note: str) -> GroupSteps[tuple[str, str]]:
    """Admit one; return why not, and what to do, or two empty texts."""
    args = (looked.instance, looked.admitted, str(least), note, looked.run)
    (reply,) = yield _one(Call(ADMIT, prefix, tuple(word.encode() for word in args), node=looked.address))
    if not isinstance(reply, list):
        return f"it could not be admitted: {_why(reply)}", "look at its log"
    if reply[0] == b"ADMITTED":
        return "", ""
    if reply[0] == b"BEHIND":
        return _behind(int(reply[1]), least)
    return "it was started anew, or admitted, in this moment", "nothing: it is looked at again"


def _behind(count: int, least: int) -> tuple[str, str]:
    return (
        f"its disk is older than it was: it has written {count} times, and had written {least}",
        "taskmesh acceptors replace",
    )


def _one(call: Call) -> Round:
    return Round([call], lambda replies: replies[0] is not OUT)


def _why(reply: Reply) -> str:
    if isinstance(reply, (Refused, NoAnswer)):
        return reply.reason
    return reply.text if isinstance(reply, NodeError) else str(reply)
