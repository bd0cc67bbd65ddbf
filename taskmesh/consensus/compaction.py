"""What was deleted is left behind: the acceptors that there are take over what there is into another configuration.

A deleted register stays on the acceptors, without content: one of them may have been away, and still hold what was
there before. It can go only with its configuration, for then whatever is still on its way goes with it. So this is a
change of members which changes none, by the very same steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from taskmesh.consensus.configuration import Configuration, Member
from taskmesh.consensus.listing import changes
from taskmesh.consensus.reconfigure import completed, drop_previous, reconfigure
from taskmesh.consensus.registers import READ_AT_ONCE, Operation, Registers
from taskmesh.core.steps import OUT, Call, GroupSteps, Round

#: As many may be kept for nothing: a few hundred kilobytes.
REGISTERS_MIN = 1000
#: It is worth it when one register in so many, or fewer, exists.
ONE_IN = 2


@dataclass(slots=True)
class Compaction:
    """Finds out now and then whether it is worth it. Belongs to whoever looks after the acceptors.

    Attributes:
        registers_min: With fewer registers, deleted ones among them, nothing is done.
    """

    registers_min: int = REGISTERS_MIN
    _existing: int = 0
    _seen: int = 0
    _tidied: int = 1

    def turn(self, registers: Registers, operation: Operation) -> GroupSteps[Configuration | None]:
        """Go over to another configuration of the same acceptors if most registers are deleted; None if not.

        Nothing is done while an acceptor does not answer: it would keep what it holds of the configuration before. That
        is dropped by a later turn: whoever was changing something meanwhile asks there what became of it.

        Raises:
            ChangeRejected, ChangeUnknown: Too few acceptors answered; look again later.
        """
        configuration = yield from completed(registers)
        if not (yield from self._is_tidy(registers, configuration.number)):
            return None
        kept = yield from _kept(registers.prefix, configuration.number, configuration.members)
        if kept < max(self.registers_min, ONE_IN * self._existing):
            return None
        self._existing = yield from _existing(registers)
        if kept < ONE_IN * self._existing:
            return None
        changed = yield from reconfigure(
            registers, configuration.members, operation, if_number=configuration.number
        )
        self._seen = changed.number
        return changed

    def _is_tidy(self, registers: Registers, number: int) -> GroupSteps[bool]:
        """Drop what is left of the configuration before, unless this one is new; return whether nothing is left."""
        if number > self._tidied and number == self._seen:
            yield from drop_previous(registers)
            self._tidied = number
        self._seen = number
        return number <= self._tidied


def _kept(prefix: bytes, number: int, members: Sequence[Member]) -> GroupSteps[int]:
    """Return how many registers the acceptors keep, deleted ones among them; 0 if one of them does not say."""
    words = (b"ZCARD", b"%sac:%d:names" % (prefix, number))
    replies = yield Round(
        [Call(None, b"", words, node=member.address) for member in members],
        lambda replies: OUT not in replies,
    )
    counts = [reply for reply in replies if isinstance(reply, int)]
    return max(counts) if len(counts) == len(members) else 0


def _existing(registers: Registers) -> GroupSteps[int]:
    """Return how many registers exist. Contents may be large, so few are held at a time."""
    told, _ = yield from changes(registers, {})
    names, count = sorted(told), 0
    for at in range(0, len(names), READ_AT_ONCE):
        found = yield from registers.read_many(names[at : at + READ_AT_ONCE])
        count += sum(each.content is not None for each in found.values())
    return count
