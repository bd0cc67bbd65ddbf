"""Connections to one node, made in the background: nobody waits for a node that is out of reach.

A node that could not be reached is left alone for a moment, and as long as it has not been reached again there is only
one attempt at a time, however many would like a connection.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from taskmesh.core.steps import Refused
from taskmesh.errors import TaskMeshError
from taskmesh.nodes.away import is_away

if TYPE_CHECKING:
    from redis.connection import AbstractConnection

#: How long a node is left alone that could not be reached.
REST_S = 0.5


log = logging.getLogger("taskmesh")

#: Of which nodes it was said that they refuse this process, as long as they do.
_refusing: set[str] = set()


class Attempt:
    """A connection that is being made.

    Attributes:
        made: The connection, or why there is none; None as long as it is not known.
    """

    __slots__ = ("made",)

    def __init__(self) -> None:
        self.made: AbstractConnection | Refused | None = None


class Connector:
    """Makes connections to one node, for any number of threads."""

    def __init__(self, name: str, connect: Callable[[], AbstractConnection]) -> None:
        """Prepare; nothing is connected yet.

        Args:
            name: The node's address, for people.
            connect: Returns a connected connection; may take its time, and fail.
        """
        self.name = name
        self._connect = connect
        self._lock = threading.Lock()
        self._under_way = 0
        self._is_well = True
        self._rest_until_s = 0.0
        self._failure = Refused(f"{name}: not connected yet")

    def begin(self) -> Attempt | Refused | None:
        """Begin to connect.

        Returns:
            The attempt; `Refused` if the last one failed a moment ago; None if others try already, and it is not known
            yet whether that leads anywhere: ask again in a moment.
        """
        with self._lock:
            if not self._is_well:
                if self._under_way:
                    return None
                if time.monotonic() < self._rest_until_s:
                    return self._failure
            self._under_way += 1
        attempt = Attempt()
        threading.Thread(target=self._try, args=(attempt,), name=f"connect {self.name}", daemon=True).start()
        return attempt

    def _try(self, attempt: Attempt) -> None:
        from redis.exceptions import RedisError

        try:
            connection = self._connect()
        except (RedisError, OSError, EOFError, UnicodeError, TaskMeshError) as error:
            # UnicodeError: a part of the host's name is longer than names may be
            failure = Refused(f"{self.name}: {error}", lasts=not is_away(error))
            with self._lock:
                self._under_way -= 1
                self._is_well, self._failure = False, failure
                self._rest_until_s = time.monotonic() + REST_S
            attempt.made = failure
            if failure.lasts and self.name not in _refusing:
                # others may answer in its place for a while: whoever can mend it should know before they do not
                _refusing.add(self.name)
                log.warning(
                    "node %s refuses this process, and will until that is put right: %s", self.name, error
                )
        else:
            _refusing.discard(self.name)
            with self._lock:
                self._under_way -= 1
                self._is_well = True
            attempt.made = connection

    def doubt(self) -> None:
        """Take the node for one that may be out of reach: it did not answer. One attempt at a time will tell."""
        with self._lock:
            self._is_well = False
            self._rest_until_s = 0.0
