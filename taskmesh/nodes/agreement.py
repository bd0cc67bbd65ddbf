"""A process's way to the registers of its mesh: the acceptors, and who of them may answer."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import weakref
from typing import TYPE_CHECKING, TypeVar

from taskmesh.config.nodes import own_acceptors
from taskmesh.consensus.admission import Rules, Standing, admit, note_of, silent
from taskmesh.consensus.chain import Chain, look
from taskmesh.consensus.founding import fit, found
from taskmesh.consensus.keeping import Kept, read_keeping
from taskmesh.consensus.quorum import majority
from taskmesh.consensus.registers import Operation, Registers
from taskmesh.consensus.value import Packing
from taskmesh.errors import ConfigError
from taskmesh.nodes.address import DATA_NODE, NodeAddress
from taskmesh.nodes.admission import Admission
from taskmesh.nodes.group_driver import GroupDriver
from taskmesh.nodes.machine import boot_id
from taskmesh.nodes.seat import Seat, ask_seat, claim_seat, note_seat, read_seat
from taskmesh.replication.view import DRAINED, FIRST, UP

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from taskmesh.core.steps import GroupSteps
    from taskmesh.nodes.link import Link

T = TypeVar("T")
#: How long a node may take to say where the registers are.
SEAT_S = 5.0
log = logging.getLogger("taskmesh")

_all: weakref.WeakSet[Agreement] = weakref.WeakSet()


class Agreement:
    """The registers, as one process reaches them; connects when first used.

    Attributes:
        link: To the data node.
        rules: By what acceptors are admitted; known when `registers` is.
        admission: Admits them; as `rules`.
    """

    rules: Rules
    admission: Admission

    def __init__(self, link: Link, acceptors: tuple[NodeAddress, ...] = ()) -> None:
        """Prepare.

        Args:
            link: To the data node: it says mesh and keys, and is the only acceptor where none are named; of many, the
                first 1, 3 or 5 are.
            acceptors: 1, 3 or 5 servers of their own.
        """
        self.link = link
        self._named = {str(address): address for address in acceptors}
        self.driver = self._make_driver()
        # what is drawn here must differ between processes, and nobody gains by guessing it
        self._chance = random.SystemRandom()
        self._registers: Registers | None = None
        self._places: list[str] = []
        self._lock = threading.Lock()
        _all.add(self)

    def _make_driver(self) -> GroupDriver:
        return GroupDriver(self._address, name=f"taskmesh-{self.link.mesh}")

    def _address(self, node: str) -> NodeAddress:
        if node == DATA_NODE:
            return self._data_node()
        named = self._named.get(node)
        if named is not None:
            return named
        several = self.link.several
        # nodes of a mesh of many are let in with what the user gave for the others
        return NodeAddress(node) if several is None else several.place(node)[0]

    def _data_node(self) -> NodeAddress:
        """Return where the data node is: of several any, but where it alone holds the registers, the first."""
        link = self.link
        if self._is_alone and link.view is not None and link.several is not None:
            first = link.view.member(FIRST)
            if first is not None and first.state != DRAINED:
                # whichever process answers: it may wait for a leader to be admitted
                return link.several.place(first.address)[0]
        return link.driver.address

    @property
    def _is_alone(self) -> bool:
        """Whether the only acceptor is the data node."""
        places = self._registers.chain.places() if self._registers is not None else self._places
        return list(places) == [DATA_NODE]

    @property
    def addresses(self) -> list[str]:
        """Where the acceptors are, without passwords; of a mesh of many nodes that was opened, some of those."""
        return list(self._named) or self._own() or [DATA_NODE]

    @property
    def has_others(self) -> bool:
        """Whether acceptors are named, which are nothing else."""
        return bool(self._named)

    def _own(self) -> list[str]:
        """Return which nodes of a mesh of many are acceptors, where none are named."""
        view = self.link.view
        if view is None:
            return []
        return list(own_acceptors([member.address for member in view.members if member.state == UP]))

    @property
    def registers(self) -> Registers:
        """The registers; joins the mesh and makes the first configuration if need be.

        Raises:
            NodeUnavailable: The data node does not answer.
            NoMajority: Too few acceptors do.
        """
        if self._registers is None:
            with self._lock:
                if self._registers is None:
                    self._registers = self._open()
        return self._registers

    def _open(self) -> Registers:
        link = self.link.open()
        seat = self._seat()
        if seat is None:
            # looked at before the node remembers them: a wrong address must not stay there
            self.run(self._fit(self.addresses))
            (seat, *_) = link.ask_each(lambda: claim_seat(link.session, self.addresses), within_s=SEAT_S)
        places = self._places = seat.addresses
        # who names none says nothing of where they should be
        if self._named and set(places) != set(self._named):
            self._tell_elsewhere(places)
        self.rules = self._rules_at(places)
        packing = self.rules.packing
        chain = Chain(link.prefix, packing, places)
        self.admission = Admission(chain, self.rules, self._begin_anew)
        chain.admit = self.admission
        chain.find = lambda: ask_seat(link.prefix)
        registers = Registers(link.prefix, chain, packing, self._chance, time.monotonic)
        looked = self.run(look(link.prefix, places, majority(len(places))))
        if all(each.latest is None for each in looked.values()):
            self.run(self._found(seat))
            looked = self.run(look(link.prefix, places, majority(len(places))))
        elif not all(each.answers for each in looked.values()):
            # what these hold can wait until it is asked for; who else is out, nobody might notice for long
            self.run(self.admission.admit_all())
        known = [each.latest for each in looked.values() if each.latest is not None]
        newest = max(known, key=lambda configuration: configuration.number, default=None)
        if newest is not None and newest.number > seat.number:
            link.ask_each(lambda: note_seat(link.session, newest), within_s=SEAT_S)
        return registers

    def _seat(self, without: Collection[str] = ()) -> Seat | None:
        """Return where the registers are, as the nodes remember it: the last that any of them saw.

        Whichever process answers is asked, for those that wait to be admitted wait for a leader.
        """
        link = self.link
        told = link.ask_each(lambda: read_seat(link.session), within_s=SEAT_S, without=without)
        return max((seat for seat in told if seat is not None), key=lambda seat: seat.number, default=None)

    def _rules_at(self, places: Sequence[str]) -> Rules:
        signer = self.link.registers
        trusted = frozenset([DATA_NODE] if list(places) == [DATA_NODE] else [])
        return Rules(self._boot_of, Packing(signer.sign, signer.verify), trusted)

    def assess(self, without: Collection[str] = ()) -> list[Standing]:
        """Return how each acceptor stands; nothing is made, and nobody admitted.

        Args:
            without: Addresses of servers that are known not to answer, and so are not waited for.

        Raises:
            NodeUnavailable: The data node does not answer.
        """
        link = self.link.open()
        seat = self._seat(without)
        places = self._places = seat.addresses if seat else self.addresses
        # as the user lists them, not in the order of their ids
        places = list(dict.fromkeys([*(each for each in self.addresses if each in places), *places]))
        asked = [each for each in places if each not in without]
        found = self.run(admit(link.prefix, asked, self._rules_at(places), only_look=True))
        by_address = {each.address: each for each in found}
        standings = [by_address.get(each) or silent(each) for each in places]
        if seat is not None and seat.number:
            return standings
        return [
            Standing(each.address, each.looked)
            if each.looked is not None and not each.looked.instance
            else each
            for each in standings
        ]

    def _fit(self, places: Sequence[str]) -> GroupSteps[None]:
        """See that these acceptors hold registers of this mesh, or that the first can be made there."""
        looked = yield from fit(self.link.prefix, places)
        if list(places) == [DATA_NODE] or any(each.latest is not None for each in looked.values()):
            return
        for place, keeping in (yield from read_keeping(places)).items():
            if (refused := keeping.refused) is not None:
                raise ConfigError(
                    f"acceptor {place} cannot be one: {refused.text}; remedy: {refused.remedy}",
                    setting="acceptors",
                    value=place,
                )

    def _found(self, seat: Seat) -> GroupSteps[None]:
        """Make the first configuration, if these acceptors never held registers of this mesh."""
        if seat.number and not self.rules.trusted:
            # emptied, or others: `Admission` says so to whoever asks for a register
            return
        places = seat.addresses
        notes = {}
        for place, keeping in (yield from read_keeping([] if self.rules.trusted else places)).items():
            notes[place] = note_of(keeping, self._boot_of(place))
            for unsafe in keeping.unsafe:
                # of nodes that are acceptors beside their work, `taskmesh doctor` says it
                tell = log.warning if self._named and unsafe.kept < Kept.POWER else log.info
                tell("acceptor %s may forget: %s; remedy: %s", place, unsafe.text, unsafe.remedy)
        yield from found(self.link.prefix, places, self.new_instance, lambda place: notes.get(place, ""))

    def _begin_anew(self, standings: Sequence[Standing]) -> GroupSteps[bool]:
        """Make the first configuration again where the only acceptor is the data node, and that lost everything."""
        (first, *others) = standings
        if others or first.address not in self.rules.trusted or first.looked is None or first.looked.instance:
            return False
        log.warning(
            "node %s has lost the registers of mesh %r: they begin anew",
            self.link.driver.address,
            self.link.mesh,
        )
        yield from found(self.link.prefix, [DATA_NODE], self.new_instance, lambda _: "")
        if self._registers is not None:
            self._registers.chain.restart()
            self._registers.forget()
        return True

    def _tell_elsewhere(self, places: Sequence[str]) -> None:
        log.warning(
            "the registers of mesh %r are held by the acceptors %s; the settings name %s. `taskmesh acceptors move` "
            "has those hold them",
            self.link.mesh,
            ", ".join(places),
            ", ".join(self.addresses),
        )

    def note_at(self, place: str) -> str:
        """Return what the acceptor at an address is to note of itself."""
        return note_of(self.run(read_keeping([place])).get(place), self._boot_of(place))

    def new_instance(self) -> str:
        """Draw the id of an instance."""
        return f"{self._chance.getrandbits(64):016x}"

    def _boot_of(self, node: str) -> str:
        return boot_id() if self._address(node).is_local else ""

    def operation(self) -> Operation:
        """Return a new wish to change something."""
        return Operation(self._chance.randbytes(12))

    def run(self, steps: GroupSteps[T]) -> T:
        """Run a conversation with the acceptors."""
        return self.driver.run(steps)

    def another(self) -> Agreement:
        """Return another way to the same acceptors, on connections of its own: who waits there holds up nobody here."""
        return Agreement(self.link, tuple(self._named.values()))

    def close(self) -> None:
        """Close the connections; the next use makes others."""
        self.driver.close()

    def _forked(self) -> None:
        # locks may be held by threads that do not exist here, sockets are the parent's, and so is the right to go on
        # under a promise that the parent was given
        self._lock = threading.Lock()
        self.driver = self._make_driver()
        self._registers = None


def _after_fork() -> None:
    for agreement in list(_all):
        agreement._forked()  # noqa: SLF001 - this module's own


os.register_at_fork(after_in_child=_after_fork)
