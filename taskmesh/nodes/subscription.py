"""A subscription to notice channels on one node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from taskmesh.errors import NodeUnavailable

if TYPE_CHECKING:
    from taskmesh.nodes.sync_driver import SyncDriver


class Subscription:
    """One connection that only listens. Not for use by two threads at once."""

    def __init__(self, driver: SyncDriver, channels: Sequence[bytes]) -> None:
        """Connect and subscribe; when this returns, no later notice is missed.

        Raises:
            NodeUnavailable: The node cannot be reached.
        """
        from redis import exceptions

        self._failures = (exceptions.ConnectionError, exceptions.TimeoutError, OSError)
        self._timeout_error = exceptions.TimeoutError
        self._address = driver.address
        try:
            self._connection = driver.connect()
            self._connection.send_command(b"SUBSCRIBE", *channels)
            for _ in channels:
                self._connection.read_response(disable_decoding=True)
        except self._failures as error:
            raise NodeUnavailable(
                f"cannot listen at {self._address}: {error}", node=str(self._address)
            ) from error

    def read(self, timeout_s: float) -> bytes | None:
        """Return the next notice, or None when none came in time.

        Raises:
            NodeUnavailable: The connection is lost; notices may have been missed.
        """
        try:
            if not self._connection.can_read(timeout=max(0.0, timeout_s)):
                return None
            message = self._connection.read_response(disable_decoding=True)
        except self._timeout_error:
            return None
        except self._failures as error:
            self.close()
            raise NodeUnavailable(f"lost {self._address}: {error}", node=str(self._address)) from error
        return message[2] if message[0] == b"message" else None

    def close(self) -> None:
        """Close the connection."""
        self._connection.disconnect()
