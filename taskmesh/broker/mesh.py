"""The broker that is none: the nodes of the mesh wake workers themselves, which is faster than any ticket."""

from __future__ import annotations

from collections.abc import Sequence


class MeshBroker:
    """A mesh's own nodes in the part of a broker: there is nothing to announce, and nothing to hear."""

    shown = "the nodes of the mesh"

    def announce(self, queue: str, count: int = 1) -> None:
        """Do nothing: the script that recorded the messages has woken somebody."""

    def flush(self, timeout_s: float) -> bool:  # noqa: ARG002 - the contract's
        """Tell that nothing is left to say."""
        return True

    def listen(self, queues: Sequence[str]) -> None:  # noqa: ARG002 - the contract's
        """Return that nodes wake workers themselves."""
        return

    def waiting(self, queue: str) -> None:  # noqa: ARG002 - the contract's
        """Return that there are no tickets to count."""
        return

    def check(self, queues: Sequence[str] = ()) -> None:
        """Do nothing: whoever joins the mesh has met its nodes."""

    def close(self) -> None:
        """Do nothing: connections to nodes are not its own."""
