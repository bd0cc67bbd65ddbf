"""A connection whose replies an event loop delivers.

It is made, and its key, password and database are agreed, exactly as the sync driver's connections are;
then its socket is handed to the loop. So there is one way to reach a node, and no task, transport or stream
which a closed loop could leave behind: the loop knows the socket, and nothing here keeps the loop alive.
(`redis.asyncio` spends two timers and, before Python 3.12, a task on every command, which more than halves
the rate.)
"""

from __future__ import annotations

import asyncio
import ssl
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import hiredis

from taskmesh.nodes.replies import explain

if TYPE_CHECKING:
    import socket

    from redis.connection import AbstractConnection

#: Read in one turn of the loop, so that one connection cannot hold it for long.
READ_BYTES = 1 << 16
_NOTHING = object()
#: What a socket that does not block raises instead of blocking.
_WOULD_BLOCK = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class AsyncConnection:
    """One connection in one event loop. Belongs to that loop's thread."""

    __slots__ = (
        "__weakref__",
        "_close_socket",
        "_fd",
        "_loop",
        "_on_lost",
        "_on_reply",
        "_reader",
        "_sock",
        "_unsent",
    )

    def __init__(
        self,
        connection: AbstractConnection,
        on_reply: Callable[[Any], None],
        on_lost: Callable[[str], None],
    ) -> None:
        """Take over a connected connection, in the running loop.

        Args:
            connection: Nothing has been asked on it that is not answered.
            on_reply: Called with each reply; an error is a `NodeError` or `NoAnswer`, also inside of lists.
            on_lost: Called with the reason when the connection ends, unless by `close`.
        """
        loop = asyncio.get_running_loop()
        # There is no public way to its socket; kombu's event loop has used this one for years.
        self._sock: socket.socket = getattr(connection, "_sock")  # noqa: B009
        self._sock.setblocking(False)
        self._fd = self._sock.fileno()
        self._on_reply = on_reply
        self._on_lost = on_lost
        self._unsent = bytearray()
        # What stands for an error need not be an exception, whatever the stub says.
        self._reader: Any = hiredis.Reader(replyError=explain, notEnoughData=_NOTHING)  # type: ignore[arg-type]
        self._loop = weakref.ref(loop)
        # When nobody holds the loop any more the socket is closed with it, and at the latest at exit.
        self._close_socket = weakref.finalize(loop, connection.disconnect)
        loop.add_reader(self._fd, self.receive)

    @property
    def is_open(self) -> bool:
        """Whether it can be written to."""
        return self._close_socket.alive

    def write(self, data: bytes) -> None:
        """Send, now or as soon as the node takes it."""
        if not self.is_open:
            return
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = self._sock.send(data)
        except _WOULD_BLOCK:
            sent = 0
        except OSError as error:
            self.lose(f"sending failed: {error}")
            return
        if sent < len(data):
            self._unsent += memoryview(data)[sent:]
            loop = self._loop()
            if loop is not None:
                loop.add_writer(self._fd, self._send_more)

    def _send_more(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except _WOULD_BLOCK:
            return
        except OSError as error:
            self.lose(f"sending failed: {error}")
            return
        del self._unsent[:sent]
        loop = self._loop()
        if not self._unsent and loop is not None:
            loop.remove_writer(self._fd)

    def receive(self) -> None:
        """Read what has come, and call back with each reply."""
        if not self.is_open:
            return
        lost = self._read()
        reader = self._reader
        try:
            while (reply := reader.gets()) is not _NOTHING:
                self._on_reply(reply)
        except hiredis.ProtocolError as error:
            lost = f"what came is not of the protocol: {error}"
        if lost:
            self.lose(lost)

    def _read(self) -> str:
        """Feed the parser, and return why the connection has ended, if it has."""
        sock = self._sock
        try:
            while data := sock.recv(READ_BYTES):
                self._reader.feed(data)
                if not isinstance(sock, ssl.SSLSocket):
                    # if there is more, the loop calls again; it cannot see what TLS has decrypted already
                    return ""
        except _WOULD_BLOCK:
            return ""
        except OSError as error:
            return f"receiving failed: {error}"
        return "the node closed the connection"

    def lose(self, reason: str) -> None:
        """Close it, and tell its owner why."""
        if self.is_open:
            self.close()
            self._on_lost(reason)

    def close(self) -> None:
        """Close it. In its loop's thread, or when the loop does not run."""
        loop = self._loop()
        if self.is_open and loop is not None and not loop.is_closed():
            loop.remove_reader(self._fd)
            loop.remove_writer(self._fd)
        self._close_socket()
