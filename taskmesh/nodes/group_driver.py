"""The driver for acceptors: rounds with several servers of which nobody says which process must answer."""

from __future__ import annotations

from collections.abc import Callable

from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.mesh_driver import MeshDriver

#: How long acceptors may take to answer, and to be connected to.
ANSWER_S, CONNECT_S = 2.0, 0.5


class GroupDriver(MeshDriver):
    """Runs conversations with acceptors. What one has forgotten since it was started anew, its scripts know."""

    def __init__(
        self,
        addresses: Callable[[str], NodeAddress],
        *,
        answer_timeout_s: float = ANSWER_S,
        connect_timeout_s: float = CONNECT_S,
        name: str = "taskmesh",
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            addresses: Returns where a `Call.node` is, with its password.
            answer_timeout_s: For one reply; an acceptor that has said nothing in that time has `NoAnswer`.
            connect_timeout_s: For making a connection.
            name: Shown in the acceptors' `CLIENT LIST`.
        """
        super().__init__(
            lambda node: (addresses(node), None),
            connect_timeout_s=connect_timeout_s,
            answer_timeout_s=answer_timeout_s,
            name=name,
        )
