"""One connection that any number of conversations share: replies come in the order of the questions.

A conversation that is cancelled leaves its place in that order behind, and the replies for it are dropped
when they come. So nothing is ever out of step, and a cancellation costs the others nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from taskmesh.core.steps import NoAnswer, Refused, Reply
from taskmesh.nodes.async_connection import AsyncConnection

if TYPE_CHECKING:
    from redis.connection import AbstractConnection


class _Asked:
    """What one conversation asks, until it is sent, and what it waits for."""

    __slots__ = ("deadline_s", "future", "missing", "replies", "unsent")

    def __init__(
        self, future: asyncio.Future[list[Reply]], unsent: bytes, missing: int, deadline_s: float
    ) -> None:
        self.future: asyncio.Future[list[Reply]] | None = future
        self.unsent = unsent
        self.replies: list[Reply] = []
        self.missing = missing
        self.deadline_s = deadline_s

    def answer(self) -> None:
        future = self.future
        if future is not None and not future.done():
            future.set_result(self.replies)


class Line:
    """A connection to ask on."""

    def __init__(self, connection: AbstractConnection, node: str) -> None:
        """Take over a connected connection, in the running loop.

        Args:
            connection: Nothing has been asked on it that is not answered.
            node: Who is at the other end, for people to read.
        """
        self.connection = AsyncConnection(connection, self._on_reply, self._on_lost)
        self._node = node
        self._asked: deque[_Asked] = deque()
        self._unsent: list[_Asked] = []
        self._watched = False

    @property
    def is_open(self) -> bool:
        """Whether it can be asked on."""
        return self.connection.is_open

    def close(self) -> None:
        """Close the connection; whoever waits on it has no answer."""
        self.connection.lose("closed")

    async def ask(self, packed: Sequence[bytes], timeout_s: float) -> list[Reply]:
        """Send packed commands, and return a reply for each.

        Args:
            packed: At least one.
            timeout_s: When a reply takes longer, the connection is given up: all that waits has no answer.
        """
        if not self.connection.is_open:
            return [Refused(f"{self._node}: not connected")] * len(packed)
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        data = packed[0] if len(packed) == 1 else b"".join(packed)
        asked = _Asked(loop.create_future(), data, len(packed), deadline_s)
        busy = bool(self._asked)
        self._asked.append(asked)
        self._unsent.append(asked)
        if not busy:
            self._flush()
        elif len(self._unsent) == 1:
            # what is asked in one turn of the loop goes out in one piece: fewer system calls here and there
            loop.call_soon(self._flush)
        if not self._watched:
            self._watched = True
            loop.call_at(deadline_s, self._give_up_overdue)
        future = asked.future
        if future is None:
            return asked.replies
        try:
            return await future
        finally:
            # after a cancellation: the late replies are nobody's, and nothing here may hold the loop
            asked.future = None

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        self.connection.write(b"".join([asked.unsent for asked in unsent]))
        for asked in unsent:
            asked.unsent = b""

    def _on_reply(self, reply: Reply) -> None:
        if not self._asked:
            self.connection.lose("an answer came to nothing that was asked")
            return
        asked = self._asked[0]
        asked.replies.append(reply)
        asked.missing -= 1
        if not asked.missing:
            self._asked.popleft()
            asked.answer()

    def _on_lost(self, reason: str) -> None:
        refused, nothing = Refused(f"{self._node}: {reason}"), NoAnswer(f"{self._node}: {reason}")
        self._unsent = []
        while self._asked:
            asked = self._asked.popleft()
            # of what it was still to be told, the node has certainly not got a byte
            asked.replies += [refused if asked.unsent else nothing] * asked.missing
            asked.answer()

    def _give_up_overdue(self) -> None:
        self._watched = False
        # A loop that was busy for long may look at its clock before it looks at its sockets.
        self.connection.receive()
        if not self._asked or not self.connection.is_open:
            return
        loop = asyncio.get_running_loop()
        deadline_s = self._asked[0].deadline_s
        if loop.time() >= deadline_s:
            self.connection.lose("no answer in time")
        else:
            self._watched = True
            loop.call_at(deadline_s, self._give_up_overdue)
