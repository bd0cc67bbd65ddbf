"""A subscription to notice channels on every node of a mesh, in an event loop.

As `subscriptions.py` says of threads: a node that is lost or silent keeps nobody from hearing the others, and each time
one is lost, or heard again, there is a gap. A task exists only while a node is being connected to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING

from taskmesh.errors import NodeUnavailable, TaskMeshError
from taskmesh.nodes.async_subscription import AsyncSubscription
from taskmesh.nodes.subscriptions import AGAIN_S, GRACE_S

if TYPE_CHECKING:
    from taskmesh.nodes.link import Link


def subscription_in_loop(
    link: Link, on_notice: Callable[[bytes], None], on_lost: Callable[[str], None], on_gap: Callable[[], None]
) -> AsyncSubscription | AsyncSubscriptions:
    """Return a subscription on all nodes of the mesh; `listen` connects.

    Args:
        link: To the mesh, which has been joined.
        on_notice: Called with each notice.
        on_lost: Called with the reason when nothing is heard any more.
        on_gap: Called when notices may have been missed though it goes on.
    """
    if link.several is None:
        driver = link.at(link.nodes[0]).async_driver
        return AsyncSubscription(driver, on_notice, on_lost, is_outgrown=lambda: link.several is not None)
    return AsyncSubscriptions(link, on_notice, on_lost, on_gap)


class AsyncSubscriptions:
    """One connection to each node, each of which only listens. Belongs to the loop in which it was opened."""

    def __init__(
        self,
        link: Link,
        on_notice: Callable[[bytes], None],
        on_lost: Callable[[str], None],
        on_gap: Callable[[], None],
    ) -> None:
        """Prepare, see `subscription_in_loop`."""
        self._link = link
        self._on_notice = on_notice
        self._on_lost = on_lost
        self._on_gap = on_gap
        self._wanted: set[bytes] = set()
        self._heard: dict[str, AsyncSubscription] = {}
        self._opening: dict[str, asyncio.Task[None]] = {}
        self._again_at_s: dict[str, float] = {}
        self._late: set[str] = set()
        self._begun = False

    @property
    def channels(self) -> Collection[bytes]:
        """The channels that are listened to on all nodes which are heard."""
        heard = [set(each.channels) for each in self._heard.values()]
        return set.intersection(*heard) if heard else set()

    async def listen(self, channels: Collection[bytes]) -> None:
        """Subscribe to these channels too; when this returns, nodes that are heard tell of them all.

        One call at a time.

        Raises:
            NodeUnavailable: No node can be reached.
        """
        self._wanted |= set(channels)
        for node in self._link.nodes:
            if node not in self._opening:
                self._open(node)
        failure: NodeUnavailable | None = None
        waiting: set[asyncio.Task[None]] = set(self._opening.values())
        loop = asyncio.get_running_loop()
        until_s = loop.time() + GRACE_S
        while waiting:
            left_s = max(0.0, until_s - loop.time()) if self._listening() else None
            try:
                done, waiting = await asyncio.wait(
                    waiting, timeout=left_s, return_when=asyncio.FIRST_COMPLETED
                )
            except asyncio.CancelledError:
                if not self._begun:
                    self.close()
                raise
            for task in done:
                error = task.exception()
                if isinstance(error, NodeUnavailable):
                    failure = error
                elif error is not None:
                    raise error
            if not done:
                self._late.update(self._opening)
                break
        if not self._listening():
            self.close()
            raise failure or NodeUnavailable("no node can be heard", node=self._link.mesh)
        self._begun = True

    def _listening(self) -> bool:
        return any(self._wanted <= set(each.channels) for each in self._heard.values())

    def _open(self, node: str) -> None:
        task = asyncio.get_running_loop().create_task(self._connect(node), name=f"listen to {node}")
        self._opening[node] = task
        task.add_done_callback(partial(self._opened, node, node not in self._heard))

    async def _connect(self, node: str) -> None:
        try:
            await self._listen_to(node)
        except NodeUnavailable:
            if self._link.several is not None:
                # another process may be admitted there by now, or another node lead its slots
                await self._link.several.look_for_newer_async()
            raise

    async def _listen_to(self, node: str) -> None:
        subscription = self._heard.get(node)
        is_new = subscription is None
        if subscription is None:
            try:
                driver = self._link.at(node).async_driver
            except NodeUnavailable:
                raise
            except TaskMeshError as error:
                raise NodeUnavailable(f"cannot listen to node {node}: {error}", node=node) from error
            subscription = AsyncSubscription(driver, self._on_notice, partial(self._lost, node))
        try:
            while not self._wanted <= set(subscription.channels):
                await subscription.listen(self._wanted)
        except BaseException:
            if is_new:
                subscription.close()
            else:
                self._lost(node, "it does not confirm channels")
            raise
        self._heard[node] = subscription

    def _opened(self, node: str, is_new: bool, task: asyncio.Task[None]) -> None:  # noqa: FBT001 - a callback
        self._opening.pop(node, None)
        self._again_at_s[node] = asyncio.get_running_loop().time() + AGAIN_S
        is_late = node in self._late
        self._late.discard(node)
        # whoever went on without it has missed what it told meanwhile
        if not task.cancelled() and task.exception() is None and (is_new or is_late) and self._begun:
            self._on_gap()

    def _lost(self, node: str, reason: str) -> None:
        lost = self._heard.pop(node, None)
        if lost is None:
            return
        lost.close()
        self._again_at_s[node] = 0.0
        if self._heard:
            self._on_gap()
        else:
            self.close()
            self._on_lost(reason)

    def tend(self) -> None:
        """Try nodes again that are not heard, and hear those no more that have left; to be called now and then."""
        now_s = asyncio.get_running_loop().time()
        nodes = self._link.nodes
        for node in nodes:
            if node in self._heard or node in self._opening or now_s < self._again_at_s.get(node, 0.0):
                continue
            self._open(node)
        for node in [node for node in self._heard if node not in nodes]:
            self._heard.pop(node).close()

    def leave(self, channels: Collection[bytes]) -> None:
        """Listen to these channels no more."""
        self._wanted -= set(channels)
        for each in self._heard.values():
            each.leave(channels)

    def close(self) -> None:
        """Close all connections."""
        self._begun = False
        for task in list(self._opening.values()):
            task.cancel()
        heard = list(self._heard.values())
        self._heard.clear()
        for each in heard:
            each.close()
