"""One of several nodes as a process sees it: where it is, which process it must be, and the connections to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.connector import Connector
from taskmesh.nodes.node_line import NodeLine
from taskmesh.nodes.sync_driver import IDLE_MAX, SyncDriver

#: Where a node is, and the run id of its server as it was admitted; None for whichever answers there.
Place = tuple[NodeAddress, bytes | None]


class Member:
    """One node at one place.

    Attributes:
        place: As it was given.
        alone: A driver that makes connections to this node alone.
    """

    def __init__(
        self,
        place: Place,
        *,
        connect_timeout_s: float,
        answer_timeout_s: float,
        name: str,
        before_connect: Callable[[], None] | None,
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            place: Where it is.
            connect_timeout_s: For making a connection.
            answer_timeout_s: How long it may owe an answer.
            name: Shown in its `CLIENT LIST`.
            before_connect: Called before each new connection.
        """
        address, run_id = place
        self.place = place
        self.alone = SyncDriver(
            address,
            connect_timeout_s=connect_timeout_s,
            answer_timeout_s=answer_timeout_s,
            name=name,
            before_connect=before_connect,
        )
        if run_id is not None:
            self.alone.serve_only(run_id)
        self._answer_timeout_s = answer_timeout_s
        self._connector = Connector(str(address), self.alone.connect)
        self._idle: deque[NodeLine] = deque()

    def borrow(self) -> NodeLine:
        """Return a connection that nobody else uses; it may not be made yet."""
        try:
            return self._idle.pop()
        except IndexError:
            return NodeLine(self._connector, owed_s_max=self._answer_timeout_s)

    def give_back(self, line: NodeLine) -> None:
        """Take back a borrowed connection; answers that are still to come on it are skipped later."""
        if line.leave() and len(self._idle) < IDLE_MAX:
            self._idle.append(line)
        else:
            line.hang_up()

    def close(self) -> None:
        """Close idle connections."""
        while True:
            try:
                line = self._idle.pop()
            except IndexError:
                break
            line.hang_up()
        self.alone.close()
