"""Where an idle child waits for several nodes at once: a connection to each, with a BLPOP that is not answered yet.

Such a request stays when another node has woken the child, and serves its next sleep. What it takes from the list
meanwhile is not lost: a message that came with it is recorded on the node as the child's, under the sequence of its
next claim, which is answered with it.
"""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from taskmesh.errors import NodeUnavailable, TaskMeshError
from taskmesh.nodes.link import Link

if TYPE_CHECKING:
    from redis.connection import AbstractConnection

#: How long the node waits with its answer: one that has forgotten the request is asked anew after that.
BLOCK_S = 5
#: A connection may take so long to make.
CONNECT_S = 0.25
#: What has begun to arrive may take so long.
READ_S = 1.0


class WakeLine:
    """The connection to one node."""

    def __init__(self, link: Link, key: bytes) -> None:
        """Prepare; nothing is connected yet.

        Args:
            link: To the node.
            key: Of the child's list there.
        """
        self._link = link
        self._key = key
        self._connection: AbstractConnection | None = None
        self._is_asked = False
        self._asked_s = 0.0

    def ask(self) -> int:
        """Have the node asked, unless it is, and return the descriptor that becomes readable with its answer.

        Raises:
            NodeUnavailable: It cannot be.
        """
        from redis import exceptions

        if self._is_asked and time.monotonic() - self._asked_s > 2 * BLOCK_S:
            self.close()  # it would have answered long ago
        try:
            if self._connection is None:
                self._connection = self._link.driver.connect(CONNECT_S)
            if not self._is_asked:
                self._connection.send_command("BLPOP", self._key, BLOCK_S, check_health=False)
                self._is_asked = True
                self._asked_s = time.monotonic()
        except (exceptions.RedisError, OSError, EOFError, TaskMeshError) as error:
            self.close()
            raise _unavailable(error) from error
        inside: Any = self._connection
        descriptor: int = inside._sock.fileno()  # noqa: SLF001 - there is no public way
        return descriptor

    def hear(self) -> bytes | None:
        """Return what came with a wake-up, once the descriptor is readable; None if the node has waited in vain.

        Raises:
            NodeUnavailable: The connection is lost.
        """
        from redis import exceptions

        if self._connection is None:
            return None
        try:
            reply = self._connection.read_response(disable_decoding=True, timeout=READ_S)
        except (exceptions.RedisError, OSError, EOFError) as error:
            self.close()
            raise _unavailable(error) from error
        except BaseException:
            # even if interrupted: it is out of step
            self.close()
            raise
        self._is_asked = False
        return reply[1] if reply is not None else None

    def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        self._is_asked = False
        if connection is not None:
            connection.disconnect()


def _unavailable(error: Exception) -> NodeUnavailable:
    return NodeUnavailable(f"cannot wait for a wake-up: {error}", node="", may_be_done=False)


def wait(descriptors: Sequence[int], seconds: float) -> list[int]:
    """Wait until one is readable, and return those that are."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(seconds * 1000)]
