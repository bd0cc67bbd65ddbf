"""A subscription to notice channels on one node, in an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any

from taskmesh.core.steps import Call
from taskmesh.errors import NodeUnavailable
from taskmesh.nodes.async_connection import AsyncConnection
from taskmesh.nodes.async_driver import CONNECT_FAILURES, PACK
from taskmesh.nodes.drivers import LoopDriver
from taskmesh.nodes.replies import packed
from taskmesh.nodes.subscription import OUTGROWN


class AsyncSubscription:
    """One connection that only listens. Belongs to the loop in which it was opened."""

    def __init__(
        self,
        driver: LoopDriver,
        on_notice: Callable[[bytes], None],
        on_lost: Callable[[str], None],
        *,
        is_outgrown: Callable[[], bool] = lambda: False,
    ) -> None:
        """Prepare; `listen` connects.

        Args:
            driver: Makes the connection.
            on_notice: Called with each notice.
            on_lost: Called with the reason when the connection is lost: notices may be missed from then on.
            is_outgrown: Tells that this one node is not enough any more: it is then as if it were lost.
        """
        self._is_outgrown = is_outgrown
        self._driver = driver
        self._on_notice = on_notice
        self._on_lost = on_lost
        self._connection: AsyncConnection | None = None
        self._channels: set[bytes] = set()
        self._confirmed: asyncio.Future[None] | None = None
        self._unconfirmed = 0

    @property
    def channels(self) -> Collection[bytes]:
        """The channels that are listened to."""
        return self._channels

    async def listen(self, channels: Collection[bytes]) -> None:
        """Subscribe to these channels too; when this returns, no later notice of theirs is missed.

        One call at a time.

        Raises:
            NodeUnavailable: The node cannot be reached or does not answer.
        """
        new = [channel for channel in channels if channel not in self._channels]
        if not new:
            return
        try:
            if self._connection is None:
                self._connection = await self._driver.connect(self._heard, self._lost)
            self._unconfirmed = len(new)
            self._confirmed = asyncio.get_running_loop().create_future()
            self._connection.write(packed(Call(None, b"", (b"SUBSCRIBE", *new)), PACK))
            async with asyncio.timeout(self._driver.answer_timeout_s):
                await self._confirmed
        except CONNECT_FAILURES as error:
            self.close()
            node = str(self._driver.address)
            why = str(error) or "no answer in time"
            raise NodeUnavailable(f"cannot listen at {node}: {why}", node=node) from error
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._confirmed = None
        self._channels.update(new)

    def tend(self) -> None:
        """Be lost once the node has become one of several; of one node, who lost the connection listens anew."""
        if self._connection is not None and self._is_outgrown():
            self.close()
            self._on_lost(OUTGROWN)

    def leave(self, channels: Collection[bytes]) -> None:
        """Listen to these channels no more."""
        old = [channel for channel in channels if channel in self._channels]
        if old and self._connection is not None:
            self._channels.difference_update(old)
            self._connection.write(packed(Call(None, b"", (b"UNSUBSCRIBE", *old)), PACK))

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        self._channels = set()
        if connection is not None:
            connection.close()

    def _heard(self, reply: Any) -> None:
        if isinstance(reply, list) and reply[0] == b"message":
            self._on_notice(reply[2])
            return
        if isinstance(reply, list) and reply[0] == b"subscribe":
            self._unconfirmed -= 1
        if self._confirmed is None or self._confirmed.done():
            return
        if not isinstance(reply, list):
            self._confirmed.set_exception(ConnectionError(str(reply)))
        elif not self._unconfirmed:
            self._confirmed.set_result(None)

    def _lost(self, reason: str) -> None:
        self._connection = None
        self._channels = set()
        if self._confirmed is not None and not self._confirmed.done():
            self._confirmed.set_exception(ConnectionError(reason))
        self._on_lost(reason)
