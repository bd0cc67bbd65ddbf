"""Messages between the processes of one worker: JSON lines on a socket pair, with descriptors beside them."""

from __future__ import annotations

import json
import select
import socket
from typing import Any


class Wire:
    """One end of a socket pair. Each line says how many descriptors it needs, which travel with its first bytes."""

    def __init__(self, end: socket.socket) -> None:
        """Take over one end."""
        self.socket = end
        self._buffer = b""
        self._fds: list[int] = []
        self._closed = False

    def is_closed(self) -> bool:
        """Tell whether the other end is gone."""
        return self._closed

    def fileno(self) -> int:
        """Return the descriptor, for `select`."""
        return self.socket.fileno()

    def is_readable(self) -> bool:
        """Tell whether `receive` would return at once."""
        return bool(select.select([self.socket.fileno()], [], [], 0)[0])

    def send(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        """Send a message.

        Raises:
            OSError: The other end is gone.
        """
        line = json.dumps([len(fds), message]).encode() + b"\n"
        # a signal may cut a long line short
        sent = socket.send_fds(self.socket, [line], list(fds)) if fds else 0
        self.socket.sendall(line[sent:])

    def receive(self) -> tuple[list[dict[str, Any]], list[int]]:
        """Return the messages that are whole, and the descriptors that came with them, in order.

        Blocks until something has arrived. An empty answer means that the other end is gone (`is_closed`), or that a
        line is not whole yet.
        """
        try:
            data, fds, _, _ = socket.recv_fds(self.socket, 1 << 16, 8)
        except ConnectionResetError:
            data, fds = b"", []
        self._fds += fds
        if not data:
            self._closed = True
            return [], self._take(len(self._fds))
        self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        whole = [json.loads(line) for line in lines]
        return [message for _, message in whole], self._take(sum(count for count, _ in whole))

    def _take(self, count: int) -> list[int]:
        taken, self._fds = self._fds[:count], self._fds[count:]
        return taken
