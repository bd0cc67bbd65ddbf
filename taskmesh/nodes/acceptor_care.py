"""What operators, and the leader, do with the acceptors of a mesh."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taskmesh.consensus.admission import Standing, newest_of
from taskmesh.consensus.compaction import Compaction
from taskmesh.consensus.configuration import Configuration
from taskmesh.consensus.founding import found
from taskmesh.consensus.keeping import Keeping, Kept, Unsafe, read_keeping
from taskmesh.consensus.readmission import readmit
from taskmesh.consensus.replacement import change_members, in_force, replace_forgetful
from taskmesh.nodes.address import DATA_NODE
from taskmesh.nodes.seat import forget_seat, note_seat

if TYPE_CHECKING:
    from taskmesh.nodes.agreement import Agreement
#: What is said of an acceptor before the first register is written.
NOT_USED = "not used yet"


@dataclass(frozen=True, slots=True)
class AcceptorReport:
    """One acceptor at one moment.

    Attributes:
        standing: Whether it takes part, and why not.
        keeping: How its server keeps its data; None if it does not tell.
        configuration: The latest that it knows; 0 for none.
        is_member: Whether it is a member of the latest that anybody knows.
        is_node: Whether it is one of several nodes as well: then `durability` says what it must survive, and `taskmesh
            doctor` whether it does.
    """

    standing: Standing
    keeping: Keeping | None
    configuration: int
    is_member: bool
    is_node: bool

    @property
    def is_unused(self) -> bool:
        """Whether it was never told to hold anything: it answers, and has no part in anything yet."""
        looked = self.standing.looked
        return self.standing.takes_part and looked is not None and not looked.instance

    @property
    def unsafe(self) -> list[Unsafe]:
        """By what it may forget; nothing of the data node, which is trusted with its disk."""
        if self.keeping is None or self.standing.address == DATA_NODE:
            return []
        return [each for each in self.keeping.unsafe if not (self.is_node and each.is_of_power)]

    @property
    def keeps(self) -> str:
        """Say in a few words how its server keeps its data; empty if it does not tell."""
        if self.keeping is None:
            return ""
        words = self.keeping.in_words()
        if self.is_node and self.keeping.kept == Kept.PROCESS:
            return f"{words}: survives the death of processes, not power loss"
        return words

    def as_json(self) -> dict[str, Any]:
        """Return what programs may want to know."""
        looked, keeping = self.standing.looked, self.keeping
        return {
            "address": self.standing.address,
            "instance": looked.instance if looked else None,
            "run_id": looked.run if looked else None,
            "member": self.is_member,
            "takes_part": self.standing.takes_part and not self.is_unused,
            "why_not": NOT_USED if self.is_unused else self.standing.why or None,
            "remedy": self.standing.remedy or None,
            "configuration": self.configuration,
            "writes": looked.count if looked else None,
            "server": keeping.product if keeping else None,
            "keeps": keeping.in_words() if keeping else None,
            "survives": keeping.kept.name.lower() if keeping else None,
            "maxmemory_policy": keeping.policy if keeping else None,
            "unsafe": [{"what": each.text, "remedy": each.remedy} for each in self.unsafe],
        }


class AcceptorCare:
    """Looks after the acceptors of a mesh."""

    def __init__(self, agreement: Agreement) -> None:
        """Take the way to them."""
        self._agreement = agreement
        self._compaction = Compaction()

    def reports(self, without: Collection[str] = ()) -> list[AcceptorReport]:
        """Return how each acceptor stands; nothing is changed.

        Args:
            without: Addresses of servers that are known not to answer, and so are not waited for.

        Raises:
            NodeUnavailable: The data node does not answer.
        """
        agreement = self._agreement
        standings = agreement.assess(without)
        # who said nothing a moment ago would have everybody wait once more
        answering = [each.address for each in standings if each.looked is not None]
        keepings = agreement.run(read_keeping(answering))
        newest = newest_of(standings)
        members = {member.instance for member in newest.members} if newest else set()
        view = agreement.link.view
        nodes = {member.address for member in view.members} if view is not None else set()
        return [
            AcceptorReport(
                each,
                keepings.get(each.address),
                each.looked.latest.number if each.looked and each.looked.latest else 0,
                each.looked is not None and each.looked.instance in members,
                each.address in nodes,
            )
            for each in standings
        ]

    def members(self) -> Configuration:
        """Return the configuration in force.

        Raises:
            AgreementError: Too few acceptors take part.
        """
        agreement = self._agreement
        return agreement.run(in_force(agreement.registers))

    def tend(self) -> Configuration:
        """Admit whoever can be, and replace whoever cannot; return the configuration in force then.

        Raises:
            ChangeRejected, ChangeUnknown: Too few acceptors take part.
        """
        agreement = self._agreement
        registers = agreement.registers
        steps = replace_forgetful(registers, agreement.rules, agreement.new_instance, agreement.operation())
        return self._noted(agreement.run(steps))

    def compact(self) -> Configuration | None:
        """Leave behind what was deleted, if most registers are; return the configuration in force then, None if not.

        Raises:
            ChangeRejected, ChangeUnknown: Too few acceptors take part.
        """
        agreement = self._agreement
        changed = agreement.run(self._compaction.turn(agreement.registers, agreement.operation()))
        return None if changed is None else self._noted(changed)

    def change(self, addresses: Sequence[str]) -> Configuration:
        """Have the acceptors at these addresses hold the registers, and no others.

        Raises:
            AgreementError: One does not answer that is to come in, or too few take part.
        """
        agreement = self._agreement
        steps = change_members(
            agreement.registers,
            agreement.rules,
            agreement.new_instance,
            agreement.operation(),
            addresses,
        )
        return self._noted(agreement.run(steps))

    def readmit(self, lost: Collection[str] = ()) -> Configuration:
        """Go on with what there is; what only those knew that are lost, is lost.

        Args:
            lost: Addresses of acceptors that never come back.

        Raises:
            AgreementError: A member does not answer that may come back.
        """
        agreement = self._agreement
        registers = agreement.registers
        places = registers.chain.places()
        if not agreement.run(readmit(registers, agreement.rules, agreement.new_instance, places, lost)):
            agreement.link.run(forget_seat(agreement.link.session))
            agreement.run(found(registers.prefix, places, agreement.new_instance, agreement.note_at))
            registers.chain.restart()
            registers.forget()
        return self.tend()

    def _noted(self, configuration: Configuration) -> Configuration:
        link = self._agreement.link
        link.run(note_seat(link.session, configuration))
        return configuration
