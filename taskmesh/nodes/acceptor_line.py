"""The connection to one acceptor, on which answers that nobody waits for any more are skipped.

A round goes on when a majority has answered. What the others say comes later, on the same connection: it belongs to a
round that is over, and is counted off before the answer to the next.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import hiredis

from taskmesh.core.steps import OUT, Call, NoAnswer, NodeError, Refused, Reply
from taskmesh.errors import TaskMeshError
from taskmesh.nodes.away import is_away
from taskmesh.nodes.replies import explain

if TYPE_CHECKING:
    import socket

    from redis.connection import AbstractConnection

READ_BYTES = 1 << 16
#: How long an acceptor is left alone that could not be reached.
REST_S = 0.5
#: An acceptor that owes so many answers is stopped, or out of reach: a new connection will tell.
OWED_MAX = 64
_NOTHING = object()
_WOULD_BLOCK = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class AcceptorLine:
    """One connection to one acceptor; it is made in the background, so that nobody waits for who is out of reach.

    Used by one thread at a time.
    """

    def __init__(self, name: str, make: Callable[[], AbstractConnection]) -> None:
        """Prepare; nothing is connected yet.

        Args:
            name: The acceptor's address, for people.
            make: Returns an unconnected connection.
        """
        self._name = name
        self._make = make
        self._connection: AbstractConnection | None = None
        self._sock: socket.socket | None = None
        self._reader: Any = None
        self._owed = 0
        self._call: Call | None = None
        self._connecting: threading.Thread | None = None
        self._made: list[AbstractConnection | Refused] = []
        self._rest_until_s = 0.0
        self._why = "not connected yet"
        self._lasts = False

    @property
    def is_connecting(self) -> bool:
        """Whether it may be connected in a moment."""
        return self._connecting is not None

    def fileno(self) -> int:
        """Return the socket's number, to wait for what comes; -1 when there is none."""
        return self._sock.fileno() if self._sock is not None else -1

    def _ready(self) -> bool:
        """Tell whether it is connected; begin to connect if it is not and that is worth a try."""
        if self._connecting is not None and self._made:
            self._take_over(self._made.pop())
        if self._sock is not None:
            return True
        if self._connecting is None and time.monotonic() >= self._rest_until_s:
            self._connecting = threading.Thread(
                target=self._connect, name=f"connect {self._name}", daemon=True
            )
            self._connecting.start()
        return False

    def _connect(self) -> None:
        from redis.exceptions import RedisError

        connection = self._make()
        try:
            connection.connect()
        except (RedisError, OSError, EOFError, UnicodeError, TaskMeshError) as error:
            # UnicodeError: a part of the host's name is longer than names may be
            self._made.append(Refused(str(error), lasts=not is_away(error)))
        else:
            self._made.append(connection)

    def _take_over(self, made: AbstractConnection | Refused) -> None:
        self._connecting = None
        if isinstance(made, Refused):
            self._why, self._lasts = made.reason, made.lasts
            self._rest_until_s = time.monotonic() + REST_S
            return
        self._connection = made
        # There is no public way to its socket; `async_connection.py` uses the same.
        self._sock = getattr(made, "_sock")  # noqa: B009
        self._sock.setblocking(False)
        self._reader = hiredis.Reader(replyError=explain, notEnoughData=_NOTHING)  # type: ignore[arg-type]
        self._owed = 0

    def ask(self, call: Call) -> Reply:
        """Send a call; return `OUT`, or `Refused` if that is not possible now and nothing is on its way to be."""
        if self._owed >= OWED_MAX:
            self.close("it does not answer")
        elif self._sock is not None and (lost := self._read()):
            # it was started anew meanwhile: nothing is lost yet
            self.close(lost)
        self._call = call
        if not self._ready():
            return OUT if self._connecting is not None else Refused(f"{self._name}: {self._why}", self._lasts)
        return self._send()

    def _send(self) -> Reply:
        call = self._call
        if call is None:
            raise TypeError("there is nothing to send")
        if call.script is None:
            return self._write(call.args)
        return self._write((b"EVALSHA", call.script.sha, b"1", call.prefix, *call.args))

    def _write(self, words: tuple[bytes, ...]) -> Reply:
        if self._sock is None:
            return Refused(f"{self._name}: {self._why}", self._lasts)
        data: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]
        try:
            while data:
                try:
                    data = data[self._sock.send(data) :]
                except _WOULD_BLOCK:
                    # its buffers are full of what it does not read
                    self.close("it does not read what is sent")
                    return NoAnswer(f"{self._name}: {self._why}")
        except OSError as error:
            self.close(str(error))
            return NoAnswer(f"{self._name}: {error}")
        self._owed += 1
        return OUT

    def poll(self) -> Reply:
        """Return the answer to the last call if it has come, else `OUT`; never wait."""
        if self._sock is None:
            if not self._ready():
                return (
                    OUT
                    if self._connecting is not None
                    else Refused(f"{self._name}: {self._why}", self._lasts)
                )
            if (reply := self._send()) is not OUT:
                return reply
        lost = self._read()
        reply = OUT
        while (told := self._reader.gets()) is not _NOTHING:
            self._owed -= 1
            if self._owed == 0:
                reply = told
        if (
            isinstance(reply, NodeError)
            and reply.text == "NOSCRIPT"
            and self._call is not None
            and self._call.script
        ):
            call = self._call
            return self._write((b"EVAL", self._call.script.source, b"1", call.prefix, *call.args))
        if reply is OUT and lost:
            self.close(lost)
            return NoAnswer(f"{self._name}: {lost}")
        return reply

    def _read(self) -> str:
        """Feed the parser with what has come, and return why the connection has ended, if it has."""
        sock = self._sock
        if sock is None:
            return self._why
        try:
            while data := sock.recv(READ_BYTES):
                self._reader.feed(data)
        except _WOULD_BLOCK:
            return ""
        except OSError as error:
            return f"receiving failed: {error}"
        return "the acceptor closed the connection"

    def close(self, why: str) -> None:
        """Close the connection; the next call makes another."""
        self._why, self._lasts = why, False
        connection, self._connection, self._sock = self._connection, None, None
        if connection is not None:
            connection.disconnect()
