"""A supervisor's own link to its mesh, made of what the template told it."""

from __future__ import annotations

from taskmesh.codec.keyring import Keyring
from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.link import Link
from taskmesh.worker.options import MeshFacts

#: How long to wait for an embedded node that is being started anew, in one go.
EMBEDDED_WAIT_S = 2.0


def own_link(facts: MeshFacts) -> Link:
    """Return the link; nothing is connected yet."""

    def ensure() -> None:
        from taskmesh.nodes.embedded import ensure_running

        ensure_running(facts.mesh, durability=facts.durability or None, timeout_s=EMBEDDED_WAIT_S)

    def ensure_one(address: NodeAddress) -> None:
        from taskmesh.nodes.embedded import ensure_at

        ensure_at(
            facts.mesh,
            address.url.removeprefix("unix://"),
            durability=facts.durability or None,
            timeout_s=EMBEDDED_WAIT_S,
        )

    return Link(
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
