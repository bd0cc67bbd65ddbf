"""What all locks, elections and files of one mesh share in one process."""

from __future__ import annotations

import atexit
import os
import random
import socket
import weakref
from typing import TYPE_CHECKING

from taskmesh.client.conversing import Conversing
from taskmesh.client.file_watch import Watchers
from taskmesh.client.sessions import Sessions
from taskmesh.client.turns import PROCESS_SIZE, Turns
from taskmesh.consensus.registers import Registers
from taskmesh.coordination.means import Means
from taskmesh.nodes.lease_clock import lease_now_s
from taskmesh.replication.join import embedded_generation

if TYPE_CHECKING:
    from taskmesh.nodes.agreement import Agreement
    from taskmesh.nodes.link import Link

#: How long the thread that renews leases tries one of them.
RENEW_PATIENCE_S = 1.0
_coordinators: weakref.WeakSet[Coordinator] = weakref.WeakSet()


class Coordinator:
    """What all locks, elections and files of one mesh share in one process. A forked process begins with nothing."""

    def __init__(self, agreement: Agreement, link: Link) -> None:
        """Prepare; nothing is started or connected until it is used."""
        self.link = link
        self._agreement = agreement
        self._begin()
        _coordinators.add(self)

    def _begin(self) -> None:
        process = os.urandom(PROCESS_SIZE)
        self.owner = f"{socket.gethostname()[:32]}:{os.getpid()}"
        self._means: Means | None = None
        self._renewing: Means | None = None
        self.turns = Turns(self.link, process)
        self.conversing = Conversing(self._agreement, self.link, self.turns)
        self.sessions = Sessions(process, self.owner, self._means_to_renew, self.conversing)
        self.watchers = Watchers(lambda: self.means, self.conversing, self.sessions.own)

    @property
    def means(self) -> Means:
        """What conversations need; joins the mesh and reaches the acceptors if need be.

        Raises:
            NodeUnavailable, NoMajority: They do not answer.
        """
        if self._means is None:
            self._means = self._make_means(self._agreement.registers)
        return self._means

    def _make_means(self, registers: Registers) -> Means:
        generation = embedded_generation(self.link.session.epoch)
        return Means(
            registers,
            self._agreement.operation,
            lease_now_s,
            random.SystemRandom(),
            generation,
            is_embedded=generation > 0,
        )

    def _means_to_renew(self) -> Means:
        """Return what the thread that renews leases needs: it must not try one of them for long."""
        if self._renewing is None:
            registers = self._agreement.registers
            impatient = Registers(
                registers.prefix,
                registers.chain,
                registers.packing,
                registers.chance,
                registers.now_s,
                patience_s=RENEW_PATIENCE_S,
            )
            self._renewing = self._make_means(impatient)
        return self._renewing

    async def open_async(self) -> Means:
        """As `means`, in an event loop."""
        if self._means is None:
            from taskmesh.nodes.async_thread import in_thread_once

            await in_thread_once(self._open)
        return self.means

    def _open(self) -> Means:
        return self.means

    def close(self) -> None:
        """Give back everything that is held, and end the sessions."""
        self.watchers.close()
        self.turns.close()
        self.sessions.close()

    def forked(self) -> None:
        """Begin anew in a process that was forked: it holds nothing, and has no threads."""
        self._begin()


def _after_fork() -> None:
    for coordinator in list(_coordinators):
        coordinator.forked()


def _at_exit() -> None:
    for coordinator in list(_coordinators):
        coordinator.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
