"""Hearing that it may be the turn of somebody who waits in a line: one connection for all of a process.

It is open while somebody waits. What it misses does no harm: who waits looks by himself now and then.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from taskmesh.client.bell import Bell
from taskmesh.core import keys
from taskmesh.errors import TaskMeshError
from taskmesh.replication.ask import plain

if TYPE_CHECKING:
    from taskmesh.nodes.link import Link

log = logging.getLogger("taskmesh")

PROCESS_SIZE = 8
#: How long the connection is kept after the last has stopped waiting, and how often that is looked at.
LINGER_S, READ_S = 5.0, 0.5
#: How long telling may take: one of several nodes may stand still, and who is not told looks by himself.
TELL_S = 1.0
#: Before a connection that was lost is made again.
AGAIN_S = 1.0


class Turns:
    """All who wait in this process."""

    def __init__(self, link: Link, process: bytes) -> None:
        """Prepare; nothing is connected until somebody waits.

        Args:
            link: To the data node, through which is told.
            process: Random id of this process: `PROCESS_SIZE` bytes.
        """
        self._link = link
        self._process = process
        self._turns: dict[bytes, Bell] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def of(self, request: bytes, loop: asyncio.AbstractEventLoop | None = None) -> Iterator[Bell]:
        """Hear of a request for the length of a block."""
        bell = Bell(loop)
        self._turns[request] = bell
        try:
            yield bell
        finally:
            del self._turns[request]

    def listen(self) -> None:
        """See that somebody listens."""
        with self._lock:
            if self._thread is None:
                self._closed = False
                name = f"taskmesh-turns-{self._link.mesh}"
                self._thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._thread.start()

    def tell(self, whom: Iterable[tuple[bytes, bytes]]) -> None:
        """Tell those who wait, here or elsewhere, that it may be their turn."""
        for session, request in whom:
            own = self._turns.get(request)
            if own is not None:
                own.ring()
                continue
            channel = keys.turn(self._link.prefix, session[:PROCESS_SIZE])
            try:
                self._link.run(plain(self._link.session, b"PUBLISH", channel, request), within_s=TELL_S)
            except TaskMeshError as error:
                log.debug("nobody could be told that it is his turn: he looks by himself. %s", error)

    def close(self) -> None:
        """Listen no more, unless somebody waits."""
        self._closed = True

    # -- listening ------------------------------------------------------------------

    def _work(self) -> None:
        idle_since_s = time.monotonic()
        while True:
            try:
                idle_since_s = self._listen(idle_since_s)
            except TaskMeshError as error:
                if self._turns:
                    log.debug("cannot hear of turns: %s", error)
                    time.sleep(AGAIN_S)
                    idle_since_s = time.monotonic()
            with self._lock:
                if self._is_over(idle_since_s):
                    self._thread = None
                    return

    def _is_over(self, idle_since_s: float) -> bool:
        return not self._turns and (self._closed or time.monotonic() - idle_since_s >= LINGER_S)

    def _listen(self, idle_since_s: float) -> float:
        """Listen until nobody waits any more, and return since when."""
        from taskmesh.nodes.subscriptions import subscribe

        subscription = subscribe(self._link.open(), [keys.turn(self._link.prefix, self._process)])
        try:
            # what was told before this was not heard
            for bell in list(self._turns.values()):
                bell.ring()
            while not self._is_over(idle_since_s):
                request = subscription.read(READ_S)
                if self._turns:
                    idle_since_s = time.monotonic()
                told = self._turns.get(request) if request else None
                if told is not None:
                    told.ring()
            return idle_since_s
        finally:
            subscription.close()
