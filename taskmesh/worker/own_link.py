"""A supervisor's own link to its mesh, made of what the template told it."""

from __future__ import annotations

from typing import Any

from taskmesh.codec.keyring import Keyring
from taskmesh.errors import NodeUnavailable
from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.link import Link
from taskmesh.worker.options import MeshFacts

#: How long to wait for an embedded node that is being started anew, in one go.
EMBEDDED_WAIT_S = 2.0


class OwnLink(Link):
    """A link which ends with its supervisor, though the process may go on."""

    def __init__(self, *addresses: Any, **options: Any) -> None:
        """As `Link`."""
        super().__init__(*addresses, **options)
        self.has_ended = False

    def end(self) -> None:
        """Close all connections. No embedded node is started through this link any more, whoever still uses it."""
        self.has_ended = True
        self.close()


def own_link(facts: MeshFacts) -> OwnLink:
    """Return the link; nothing is connected yet."""

    def refuse_after_the_end() -> None:
        if link.has_ended:
            raise NodeUnavailable(
                f"the worker of mesh {facts.mesh} has ended", node=facts.mesh, may_be_done=False
            )

    def ensure() -> None:
        from taskmesh.nodes.embedded import ensure_running

        refuse_after_the_end()
        ensure_running(facts.mesh, durability=facts.durability or None, timeout_s=EMBEDDED_WAIT_S)

    def ensure_one(address: NodeAddress) -> None:
        from taskmesh.nodes.embedded import ensure_at

        refuse_after_the_end()
        ensure_at(
            facts.mesh,
            address.url.removeprefix("unix://"),
            durability=facts.durability or None,
            timeout_s=EMBEDDED_WAIT_S,
        )

    link = OwnLink(
        facts.mesh,
        lambda: [NodeAddress(url, embedded=facts.mesh if facts.embedded else "") for url in facts.urls],
        lambda: Keyring.parse(facts.keyring),
        slots=facts.slots,
        connect_timeout_s=1.0,
        answer_timeout_s=2.0,
        before_connect=ensure if facts.embedded else None,
        before_each=ensure_one if facts.embedded else None,
        replicas=facts.replicas,
        acceptors=facts.acceptors,
        durability=facts.asked_of_servers,
    )
    return link
