"""Messages between the processes of one worker: JSON lines on a socket pair, with descriptors beside them."""

from __future__ import annotations

import json
import select
import socket
from typing import Any


class Wire:
    """One end of a socket pair. Lines are small; a descriptor travels with the line that needs it."""

    def __init__(self, end: socket.socket) -> None:
        """Take over one end."""
        self.socket = end
        self._buffer = b""
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
        line = json.dumps(message).encode() + b"\n"
        if fds:
            socket.send_fds(self.socket, [line], list(fds))
        else:
            self.socket.sendall(line)

    def receive(self) -> tuple[list[dict[str, Any]], list[int]]:
        """Return the messages and descriptors that have arrived; blocks if there are none.

        An empty answer means that the other end is gone.
        """
        try:
            data, fds, _, _ = socket.recv_fds(self.socket, 1 << 16, 8)
        except ConnectionResetError:
            data, fds = b"", []
        if not data:
            self._closed = True
            return [], list(fds)
        self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        return [json.loads(line) for line in lines], list(fds)
