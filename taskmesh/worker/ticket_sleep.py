"""How a child sleeps that the tickets of a broker wake: its supervisor sees in the page that it does."""

from __future__ import annotations

from collections.abc import Callable

from taskmesh.queue.claim import Claimed
from taskmesh.worker.options import ChildOrder
from taskmesh.worker.page import Desk
from taskmesh.worker.speaking import Speaking


def sleep_of(order: ChildOrder, desk: Desk, talk: Speaking) -> Callable[[], list[Claimed]]:
    """Return how a child waits until it is woken, a second at most; what came with the wake-up is returned.

    Args:
        order: What the child was told.
        desk: Its place in the page.
        talk: Its conversation with its mesh.
    """
    if not order.is_by_ticket:
        return talk.sleep

    def sleep() -> list[Claimed]:
        desk.waits(for_ticket=True)
        try:
            return talk.sleep()
        finally:
            desk.waits(for_ticket=False)

    return sleep
