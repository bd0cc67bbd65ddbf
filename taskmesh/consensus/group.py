"""Asking a group of acceptors the same thing, until a majority has decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from taskmesh.consensus.configuration import Member
from taskmesh.consensus.quorum import Tally, tally
from taskmesh.core.script import Script
from taskmesh.core.steps import OUT, Call, GroupSteps, Reply, Round

#: Answers by which an acceptor says that it is no member of the configuration which the caller believes in, or not now.
ELSEWHERE = (b"SEALED", b"CONFIGURATION", b"WRONGINSTANCE", b"OTHERMEMBERS", b"NOTADMITTED")

#: Refusals, as people read them; others stand as they came.
_WORDS = {
    b"CONFLICT": "another change came first",
    b"NOTADMITTED": "one was started anew and is not admitted yet",
    b"WRONGINSTANCE": "one is another acceptor than it was",
    b"SEALED": "the acceptors have been changed",
    b"CONFIGURATION": "one does not know these acceptors",
    b"OTHERMEMBERS": "one knows other acceptors",
}


class Answers(NamedTuple):
    """What a group said.

    Attributes:
        won: Whether a majority agreed.
        agreed: What those said who did, without the word in front, by their position in the group.
        refused: What others said.
        silent: Why others said nothing, for people.
    """

    won: bool
    agreed: dict[int, list[bytes]]
    refused: list[list[bytes]]
    silent: list[str]

    @property
    def is_elsewhere(self) -> bool:
        """Whether somebody said that the configuration is another one now."""
        return any(answer[0] in ELSEWHERE for answer in self.refused)

    def why(self) -> str:
        """Say for people why no majority agreed."""
        said = dict.fromkeys(in_words(answer) for answer in self.refused)
        return "; ".join([*said, *self.silent]) or "nobody was asked"


def in_words(answer: list[bytes]) -> str:
    """Return a refusal as people read it."""
    known = _WORDS.get(answer[0])
    return known or " ".join(word.decode(errors="replace")[:40] for word in answer[:3])


def why_silent(address: str, reply: Reply) -> str:
    """Return why one said nothing; a connection says itself where it led."""
    why = str(getattr(reply, "reason", None) or getattr(reply, "text", reply))
    return why if why.startswith(address) else f"{address}: {why}"


def ask_group(
    prefix: bytes,
    members: Sequence[Member],
    script: Script,
    *args: bytes,
    agrees: bytes,
) -> GroupSteps[Answers]:
    """Ask all members at once, and return when a majority agreed or cannot any more.

    Args:
        prefix: Of the mesh's keys.
        members: Whom.
        script: A step of an acceptor.
        args: Its arguments after the instance.
        agrees: The word with which an answer begins that agrees.
    """
    calls = [
        Call(script, prefix, (member.instance.encode(), *args), node=member.address) for member in members
    ]

    def counted(replies: Sequence[Reply]) -> Tally:
        yes = no = 0
        for reply in replies:
            if isinstance(reply, list) and reply[0] == agrees:
                yes += 1
            elif reply is not OUT:
                no += 1
        return tally(len(members), yes, no)

    replies = yield Round(calls, lambda replies: counted(replies) is not Tally.PENDING)
    agreed: dict[int, list[bytes]] = {}
    refused: list[list[bytes]] = []
    silent: list[str] = []
    for at, (member, reply) in enumerate(zip(members, replies, strict=True)):
        if isinstance(reply, list):
            if reply[0] == agrees:
                agreed[at] = reply[1:]
            else:
                refused.append(reply)
        elif reply is not OUT:
            silent.append(why_silent(member.address, reply))
    return Answers(counted(replies) is Tally.WON, agreed, refused, silent)
