"""A few commands over a Unix socket, for a process too small to carry a client library."""

from __future__ import annotations

import socket

Reply = bytes | int | list["Reply"] | None


class ErrorReply(Exception):
    """The server answered with an error; its text."""


class Connection:
    """One connection; every failure of it is an `OSError`, after which it must be closed."""

    __slots__ = ("_buffer", "_socket")

    def __init__(self, path: str, timeout_s: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._buffer = b""
        try:
            self._socket.settimeout(timeout_s)
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def wait_at_most(self, timeout_s: float) -> None:
        """Give the server so long for each answer from now on."""
        self._socket.settimeout(timeout_s)

    def call(self, *words: str | bytes) -> Reply:
        """Send a command and return its reply.

        Raises:
            ErrorReply: The server answered with an error.
            OSError: No answer in time, or the connection is gone.
        """
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            data = word.encode() if isinstance(word, str) else word
            parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
        self._socket.sendall(b"".join(parts))
        return self._reply()

    def _reply(self) -> Reply:
        line = self._until_newline()
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._exactly(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self._reply() for _ in range(int(rest))]
        if kind == b"-":
            raise ErrorReply(rest.decode("utf-8", "replace"))
        raise ConnectionError(f"the server answered {line[:40]!r}, which is not its protocol")

    def _until_newline(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._more()
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._more()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _more(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionResetError("the server closed the connection")
        self._buffer += data
