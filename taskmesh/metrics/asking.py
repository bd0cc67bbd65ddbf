"""Those who have connected and not asked yet. One loop reads what they say, so none of them holds a thread.

Whoever opens connections and is silent, or says his request letter by letter, can so keep nobody from being answered:
where there are very many, the oldest is left for the next.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

#: Who connects when there are so many has the oldest of them left.
ASKING_MAX = 64
#: A request has no more before its end; what is longer is refused by who reads it.
HEAD_BYTES_MAX = 1 << 16
#: What a head ends with; some leave out what should be before each line's end.
_ENDS = (b"\r\n\r\n", b"\n\n")


@dataclass(slots=True)
class _Client:
    address: Any
    since_s: float
    head: bytearray = field(default_factory=bytearray)


class Asking:
    """The clients of one server that have not asked yet. It belongs to the thread that serves."""

    def __init__(self, listening: socket.socket) -> None:
        """Begin with nobody.

        Args:
            listening: To which they connect.
        """
        listening.setblocking(False)
        self._listening = listening
        self._selector = selectors.DefaultSelector()
        self._selector.register(listening, selectors.EVENT_READ)
        self._clients: dict[socket.socket, _Client] = {}  # the oldest first

    def close(self) -> None:
        """Leave all of them."""
        for client in list(self._clients):
            self._leave(client)
        self._selector.close()

    def wait(self, patience_s: float) -> Iterator[tuple[socket.socket, Any, bytes]]:
        """Wait until something happens, and yield who has asked by now: connection, address, head of the request.

        Args:
            patience_s: Who has not asked so long after he connected is left.

        Raises:
            OSError: Nobody can be taken in just now, though none is left who could make room.
        """
        for found, _ in self._selector.select(self._rest_s(patience_s)):
            if found.fileobj is self._listening:
                self._take_in()
            else:
                client = self._clients.get(found.fileobj)  # type: ignore[call-overload]
                if client is not None and self._has_asked(found.fileobj, client):  # type: ignore[arg-type]
                    self._let_go(found.fileobj)  # type: ignore[arg-type]
                    yield found.fileobj, client.address, bytes(client.head)  # type: ignore[misc]
        while self._clients and not self._rest_s(patience_s):
            self._leave(next(iter(self._clients)))

    def _rest_s(self, patience_s: float) -> float:
        """Return how long the oldest may still take."""
        oldest = next(iter(self._clients.values()), None)
        return patience_s if oldest is None else max(0.0, oldest.since_s + patience_s - time.monotonic())

    def _take_in(self) -> None:
        try:
            client, address = self._listening.accept()
        except BlockingIOError:
            return  # he has gone
        except OSError:
            if not self._clients:
                raise
            self._leave(next(iter(self._clients)))  # there may be too many open files
            return
        if len(self._clients) >= ASKING_MAX:
            self._leave(next(iter(self._clients)))
        client.setblocking(False)
        self._clients[client] = _Client(address, time.monotonic())
        self._selector.register(client, selectors.EVENT_READ)

    def _has_asked(self, connection: socket.socket, client: _Client) -> bool:
        """Take in what he says, and tell whether that is all; who goes away is left."""
        try:
            said = connection.recv(HEAD_BYTES_MAX)
        except BlockingIOError:
            return False
        except OSError:
            said = b""
        if not said:
            self._leave(connection)
            return False
        client.head += said
        return len(client.head) >= HEAD_BYTES_MAX or any(end in client.head for end in _ENDS)

    def _let_go(self, connection: socket.socket) -> None:
        del self._clients[connection]
        self._selector.unregister(connection)

    def _leave(self, connection: socket.socket) -> None:
        self._let_go(connection)
        with contextlib.suppress(OSError):  # it is gone already
            connection.close()
