"""A subscription to notice channels on one node."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from taskmesh.errors import NodeUnavailable

if TYPE_CHECKING:
    from taskmesh.nodes.drivers import Driver

READ_BYTES = 256 * 1024
#: Shortest wait on the socket: with none at all it would not block, and a thread that adds channels must.
READ_S_MIN = 0.001
#: Why one node is not listened to any more.
OUTGROWN = "it has become one of several nodes"


class Subscription:
    """One connection that only listens.

    One thread may read at a time; channels may be added and removed by any thread meanwhile.

    It reads the socket itself: redis-py connects anew on its own when a connection is lost, and would then
    listen to nothing, for ever.

    Attributes:
        channels: Those that the node has confirmed: no later notice on them is missed.
        gaps: How often notices may have been missed though it goes on: never, on one node.
    """

    gaps = 0

    def __init__(
        self,
        driver: Driver,
        channels: Iterable[bytes],
        *,
        within_s: float | None = None,
        is_outgrown: Callable[[], bool] = lambda: False,
    ) -> None:
        """Connect and subscribe; when this returns, the channels are confirmed.

        Args:
            driver: Makes the connection.
            channels: At least one.
            within_s: How long the caller has; None for as long as the driver waits for an answer.
            is_outgrown: Tells that this one node is not enough any more: reading fails then as if it were lost.

        Raises:
            NodeUnavailable: The node cannot be reached.
        """
        import hiredis
        from redis import exceptions

        self.channels: set[bytes] = set()
        self._failures = (
            exceptions.ConnectionError,
            exceptions.TimeoutError,
            hiredis.ProtocolError,
            OSError,
        )
        self._where = str(driver.address)
        self._is_outgrown = is_outgrown
        # the stubs ask for a tuple of exactly one, and for bytes
        self._pack: Callable[[tuple[bytes, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]
        self._reader: Any = hiredis.Reader()
        self._buffer = bytearray(READ_BYTES)
        self._writing = threading.Lock()
        asked = set(channels)
        try:
            self._connection = driver.connect(within_s)
            self._socket: Any = self._connection._sock  # noqa: SLF001 - see above
        except self._failures as error:
            raise NodeUnavailable(f"cannot listen at {self._where}: {error}", node=self._where) from error
        self._send(b"SUBSCRIBE", asked)
        timeout_s = float(self._connection.socket_timeout or 10.0)
        if within_s is not None:
            timeout_s = min(timeout_s, within_s)
        while not asked <= self.channels:
            if self.read(timeout_s) is None:
                self.close()
                raise NodeUnavailable(
                    f"cannot listen at {self._where}: no answer within {timeout_s:g} s", node=self._where
                )

    def add(self, channels: Iterable[bytes]) -> None:
        """Ask for more channels; they are in `channels` once `read` has met the node's confirmation.

        Raises:
            NodeUnavailable: The connection is lost.
        """
        self._send(b"SUBSCRIBE", channels)

    def remove(self, channels: Iterable[bytes]) -> None:
        """Ask for fewer channels.

        Raises:
            NodeUnavailable: The connection is lost.
        """
        self._send(b"UNSUBSCRIBE", channels)

    def _send(self, word: bytes, channels: Iterable[bytes]) -> None:
        try:
            with self._writing:
                self._socket.sendall(self._pack((word, *channels)))
        except self._failures as error:
            raise self._lost(error) from error

    def read(self, timeout_s: float) -> bytes | None:
        """Return the next notice, None when nothing came in time, `b""` when channels were confirmed.

        Raises:
            NodeUnavailable: The connection is lost; notices may have been missed.
        """
        found = self.received()
        if found is None and self._is_outgrown():
            raise self._lost(ConnectionError(OUTGROWN))
        while found is None:
            self._socket.settimeout(max(READ_S_MIN, timeout_s))
            try:
                count = self._socket.recv_into(self._buffer)
                if not count:
                    raise ConnectionResetError("the node closed the connection")
            except TimeoutError:
                return None
            except self._failures as error:
                raise self._lost(error) from error
            self._reader.feed(self._buffer, 0, count)
            found = self.received()
        return found

    def received(self) -> bytes | None:
        """As `read`, of what has arrived before; waits for nothing."""
        try:
            message = self._reader.gets()
            if isinstance(message, Exception):
                raise ConnectionError(f"it answered {message}")
        except self._failures as error:
            raise self._lost(error) from error
        if message is False:
            return None
        kind, channel, content = message
        if kind == b"message":
            notice: bytes = content
            return notice
        if kind == b"subscribe":
            self.channels.add(channel)
        else:
            self.channels.discard(channel)
        return b""

    def fileno(self) -> int:
        """Return the socket that tells when there is something to read; -1 when it is closed."""
        number: int = self._socket.fileno()
        return number

    def _lost(self, error: Exception) -> NodeUnavailable:
        self.close()
        return NodeUnavailable(f"lost {self._where}: {error}", node=self._where)

    def close(self) -> None:
        """Close the connection."""
        self._connection.disconnect()
