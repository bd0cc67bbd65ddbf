"""Settings of queues: registers that all agree upon, and the set that claims look at on the data node.

The register is the truth. A wish goes to the data node first, where it holds at once, and from there into the register;
whoever finds a wish that stayed there, after a crash or for want of a majority, takes it on.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from taskmesh.consensus.listing import names
from taskmesh.consensus.registers import Operation
from taskmesh.coordination.queue_setting import REGISTERS, paused_as, queue_register, unpack_queue
from taskmesh.errors import AgreementError
from taskmesh.queue.pause import pause, paused_queues, resume
from taskmesh.queue.wish import Wish, note_wish, settle_wish, wishes

if TYPE_CHECKING:
    from taskmesh.nodes.agreement import Agreement

log = logging.getLogger("taskmesh")


class QueueSettings:
    """Reads and changes the settings of queues."""

    def __init__(self, agreement: Agreement) -> None:
        """Take the way to the registers, and to the data node."""
        self._agreement = agreement
        self._link = agreement.link

    def set_paused(self, queue: str, paused: bool) -> bool:  # noqa: FBT001 - as the register has it
        """Pause a queue or let it go on, and tell whether that changed anything.

        Without a majority of the acceptors it holds on the node, and enters the register when there is one again.

        Raises:
            NodeUnavailable: The data node did not answer in time.
        """
        link, operation = self._link, self._agreement.operation()
        wish = Wish(paused, operation.id.hex())
        link.ask(lambda _: note_wish(link.session, queue, wish))
        changed = self._apply(queue, paused)
        try:
            self._settle(queue, wish, operation)
        except AgreementError as error:
            log.warning(
                "queue %s %s; the acceptors were not told, and will be when a majority takes part: %s",
                queue,
                "is paused" if paused else "goes on",
                error,
            )
        return changed

    def level(self) -> None:
        """Bring node and registers in line: take on wishes that stayed, then have the node do as the registers say.

        Raises:
            AgreementError: Too few acceptors take part.
            NodeUnavailable: The data node did not answer in time.
        """
        agreement, link = self._agreement, self._link
        for queue, wish in link.ask(lambda _: wishes(link.session)).items():
            self._settle(queue, wish, Operation(bytes.fromhex(wish.operation)))
        told = agreement.run(names(agreement.registers, REGISTERS))
        known = {name.removeprefix(REGISTERS) for name in told}
        for queue in known | set(link.ask(lambda _: paused_queues(link.session))):
            self._follow(queue)

    def _settle(self, queue: str, wish: Wish, operation: Operation) -> None:
        """Have the register follow a wish, and the node the register."""
        agreement, link = self._agreement, self._link
        agreement.run(agreement.registers.change(queue_register(queue), paused_as(wish.paused), operation))
        link.ask(lambda _: settle_wish(link.session, queue, wish))
        self._follow(queue)

    def _follow(self, queue: str) -> None:
        """Have the node do as the register says, until it says the same afterwards: others change it as well."""
        agreement, link = self._agreement, self._link
        before: bool | None = None
        while True:
            found = agreement.run(agreement.registers.read(queue_register(queue)))
            paused = unpack_queue(found.content).paused
            if paused == before or queue in link.ask(lambda _: wishes(link.session)):
                # a newer wish holds on the node, and whoever has it takes it on
                return
            self._apply(queue, paused)
            before = paused

    def _apply(self, queue: str, paused: bool) -> bool:  # noqa: FBT001 - as above
        link = self._link
        make = pause if paused else resume
        return link.ask(lambda left_s: make(link.session, queue, patience_s=left_s))
