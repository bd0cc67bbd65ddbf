"""Orders to workers: signed control messages on their lists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from taskmesh.codec.about import read_about
from taskmesh.codec.control import Control, encode_control
from taskmesh.errors import UsageError
from taskmesh.queue.control import give_orders
from taskmesh.queue.manage import status

if TYPE_CHECKING:
    from taskmesh.client.portal import Portal
    from taskmesh.nodes.link import Link


def stop_workers(portal: Portal, names: Iterable[str]) -> list[str]:
    """Tell workers to stop as by a first SIGTERM, and return the names of those that are told.

    Args:
        portal: Of the mesh.
        names: Which workers; none for all.

    Raises:
        UsageError: No live worker has one of the names; nobody is told anything.
        NodeUnavailable: Some may not have been told; telling them again is harmless.
    """
    link = portal.link
    live: dict[str, list[bytes]] = {}
    counted = link.ask(lambda _: status(link.session, with_queues=False))
    for incarnation, state, _, info, _ in counted.workers:
        if state == "live":
            name = str(read_about(info).get("name", incarnation))
            live.setdefault(name, []).append(incarnation.encode())
    wanted = list(names) or sorted(live)
    unknown = [name for name in wanted if name not in live]
    if unknown:
        raise UsageError(
            f"mesh {link.mesh!r} has no live worker {unknown[0]!r}; it has {', '.join(sorted(live)) or 'none'}"
        )
    for name in wanted:
        order = Control(
            portal.sender.new_id(),
            "shutdown",
            target=name,
            created_ms=link.clock.now_ms(),
            sender=portal.client_name,
        )
        wire = encode_control(order, link.controls)
        _give(link, live[name], wire)
    return wanted


def _give(link: Link, incarnations: list[bytes], wire: bytes) -> None:
    link.ask(lambda left_s: give_orders(link.session, incarnations, wire, patience_s=left_s))
