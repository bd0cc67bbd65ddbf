"""A worker's broker, if its mesh has one: met when the worker starts, listened to in each of its lives."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from taskmesh.codec.report import BrokerReport
from taskmesh.core.redact import redact
from taskmesh.errors import BrokerUnavailable
from taskmesh.nodes.link import Link

if TYPE_CHECKING:
    from taskmesh.broker.contract import Broker
    from taskmesh.worker.ticket_line import Children, TicketLine

log = logging.getLogger("taskmesh.worker")

#: So much of what is wrong is published with each beat.
TROUBLE_MAX = 300


class Hearing:
    """What one worker has to do with its broker. Without one it does nothing, and imports nothing.

    Attributes:
        broker: Which; None where the nodes wake workers.
        is_on: Whether tickets wake the worker's children.
    """

    def __init__(
        self, address: str, mesh: str, worker: str, *, tell: Callable[[str], None] = lambda _trouble: None
    ) -> None:
        """Make the broker, which is not connected yet.

        Args:
            address: As the setting has it; empty where the nodes wake workers.
            mesh: Name of the mesh.
            worker: Name of the worker.
            tell: Told why nothing can be heard, and with an empty text that it can again.

        Raises:
            BrokerRefused: There is none of such an address.
        """
        self.broker: Broker | None = None
        self.is_on = False
        self._worker = worker
        self._tell = tell
        self._trouble: str | None = None  # nothing is known yet
        self._line: TicketLine | None = None
        if address:
            from taskmesh.broker.named import make_broker

            self.broker = make_broker(address, mesh)

    def check(self, queues: Sequence[str], *, burst: bool) -> None:
        """See whether the broker lets this worker hear of its queues; one that is away is waited for later.

        Args:
            queues: Of which it is to hear.
            burst: It ends when these are empty: its children never wait, so it takes no tickets from others.

        Raises:
            BrokerRefused: It does not.
        """
        if self.broker is None or burst:
            return
        try:
            self.broker.check(queues)
            self._note("")
        except BrokerUnavailable as error:
            self._note(str(error))
            log.warning(
                "%s; worker %s begins without it, and its children look each second", error, self._worker
            )
        self.is_on = self.broker.listen(queues) is not None
        if not self.is_on:
            self._trouble = None  # it leaves it to the nodes to wake workers

    def report(self) -> BrokerReport | None:
        """Return what others are to know of it: whoever looks at the mesh need not know the broker's address."""
        if self.broker is None:
            return None
        trouble = self._trouble
        shown = redact(self.broker.shown)
        if trouble is None:
            return BrokerReport(shown)
        return BrokerReport(shown, not trouble, redact(trouble)[:TROUBLE_MAX])

    def begin(self, link: Link, incarnation: bytes, queues: Sequence[str], children: Children) -> None:
        """Listen in a new life of the worker, and no more in the one before.

        Args:
            link: To the mesh.
            incarnation: Of the new life.
            queues: Of which to hear.
            children: Of the new life.
        """
        self._end()
        if self.broker is None or not self.is_on:
            return
        from taskmesh.worker.ticket_giving import Giving
        from taskmesh.worker.ticket_line import TicketLine

        tickets = self.broker.listen(queues)
        if tickets is not None:
            self._line = TicketLine(
                self.broker,
                tickets,
                Giving(link, incarnation),
                queues,
                worker=self._worker,
                children=children,
                tell=self._note,
            ).start()

    def stop(self) -> None:
        """Begin to end: what was taken is left to others."""
        if self._line is not None:
            self._line.stop()

    def close(self) -> None:
        """End, and let go of the broker."""
        self._end()
        if self.broker is not None:
            self.broker.close()

    def _note(self, trouble: str) -> None:
        """Take in why nothing can be heard, with an empty text that it can again; the thread that listens says so."""
        self._trouble = trouble
        self._tell(trouble)

    def _end(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.join()
