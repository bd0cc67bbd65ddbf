"""Looking at a message and revoking it in an event loop, which is not held up meanwhile.

What `AsyncResult.state` and its like do for threads. A look takes the loop's own connection; revoking, which is
rare and takes several questions, takes a thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from taskmesh.core.steps import Steps
from taskmesh.errors import NodeUnavailable
from taskmesh.nodes.async_thread import in_thread_once
from taskmesh.nodes.link import AGAIN_S
from taskmesh.results.read import read
from taskmesh.results.tellings import tellings

if TYPE_CHECKING:
    from taskmesh.client.portal import Portal
    from taskmesh.client.result import AsyncResult
    from taskmesh.codec.telling import Telling
    from taskmesh.nodes.link import Link

T = TypeVar("T")


async def look(portal: Portal, handle: AsyncResult[Any]) -> None:
    """Read the record of a handle, and put into it what that says.

    Raises:
        NodeUnavailable: The node did not answer within `send_timeout`, or is gone for good.
    """
    link = portal.link
    portal.inbox.refuse_if_ended()
    (found,) = await _ask(link, lambda left_s: read(link.session, [handle.id], patience_s=left_s))
    portal.inbox.settle(handle, found)


async def telling(portal: Portal, task_id: str) -> Telling | None:
    """Return what a message that runs tells of itself; None if it does not run, or tells nothing.

    Raises:
        NodeUnavailable: As `look`.
        TrustError: What stands there must not be used.
    """
    link = portal.link
    (found,) = await _ask(link, lambda left_s: tellings(link.session, [task_id], patience_s=left_s))
    return portal.open_telling(task_id, found)


async def revoke(
    portal: Portal, handle: AsyncResult[Any], *, terminate: bool, signal: str
) -> list[bool | None]:
    """As `Portal.revoke`, of one message."""
    return await in_thread_once(partial(portal.revoke, (handle,), terminate=terminate, signal=signal))


async def _ask(link: Link, make: Callable[[float], Steps[T]]) -> T:
    """Run a protocol that may be repeated, as `Link.ask` does: joining and trying again are part of its time."""
    until_s = time.monotonic() + link.patience_s
    await link.reach_async()
    while True:
        left_s = max(0.0, until_s - time.monotonic())
        try:
            return await link.async_driver.run(make(left_s), within_s=left_s)
        except NodeUnavailable as error:
            left_s = until_s - time.monotonic()
            if error.lasts or left_s <= 0:
                raise
            await asyncio.sleep(min(AGAIN_S, left_s))
