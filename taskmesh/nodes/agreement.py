"""A process's way to the registers of its mesh: the acceptors, and who of them may answer."""

from __future__ import annotations

import os
import random
import threading
import time
import weakref
from typing import TYPE_CHECKING, TypeVar

from taskmesh.consensus.chain import Chain
from taskmesh.consensus.founding import found
from taskmesh.consensus.registers import Operation, Registers
from taskmesh.consensus.value import Packing
from taskmesh.nodes.group_driver import GroupDriver
from taskmesh.nodes.machine import boot_id

if TYPE_CHECKING:
    from taskmesh.core.steps import GroupSteps
    from taskmesh.nodes.address import NodeAddress
    from taskmesh.nodes.link import Link

T = TypeVar("T")
#: The data node itself, where no acceptors are named.
DATA_NODE = "data-node"

_all: weakref.WeakSet[Agreement] = weakref.WeakSet()


class Agreement:
    """The registers, as one process reaches them; connects when first used."""

    def __init__(self, link: Link, acceptors: tuple[NodeAddress, ...] = ()) -> None:
        """Prepare.

        Args:
            link: To the data node: it says mesh and keys, and is the only acceptor where none are named.
            acceptors: 1, 3 or 5 servers of their own.
        """
        self._link = link
        self._named = {str(address): address for address in acceptors}
        self.driver = self._make_driver()
        # what is drawn here must differ between processes, and nobody gains by guessing it
        self._chance = random.SystemRandom()
        self._registers: Registers | None = None
        self._lock = threading.Lock()
        _all.add(self)

    def _make_driver(self) -> GroupDriver:
        return GroupDriver(self._address, name=f"taskmesh-{self._link.mesh}")

    def _address(self, node: str) -> NodeAddress:
        if node == DATA_NODE:
            return self._link.driver.address
        from taskmesh.nodes.address import NodeAddress

        return self._named.get(node) or NodeAddress(node)

    @property
    def addresses(self) -> list[str]:
        """Where the acceptors are, without passwords."""
        return list(self._named) or [DATA_NODE]

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
        link = self._link.open()
        packing = Packing(link.registers.sign, link.registers.verify)
        chain = Chain(link.prefix, packing, self.addresses)
        self.driver.run(found(link.prefix, self.addresses, self._new_instance, self._boot_of))
        return Registers(link.prefix, chain, packing, self._chance, time.monotonic)

    def _new_instance(self) -> str:
        return f"{self._chance.getrandbits(64):016x}"

    def _boot_of(self, node: str) -> str:
        return boot_id() if self._address(node).is_local else ""

    def operation(self) -> Operation:
        """Return a new wish to change something."""
        return Operation(self._chance.randbytes(12))

    def run(self, steps: GroupSteps[T]) -> T:
        """Run a conversation with the acceptors."""
        return self.driver.run(steps)

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
