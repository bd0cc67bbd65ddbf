"""A bell: any thread rings it, and a thread or a coroutine waits for that."""

from __future__ import annotations

import asyncio
import logging
import threading

log = logging.getLogger("taskmesh")


class Bell:
    """Rings for one thread, or for one coroutine."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Prepare, for a thread or for a coroutine of a loop."""
        self._loop = loop
        self._event: threading.Event | asyncio.Event = threading.Event() if loop is None else asyncio.Event()

    def ring(self) -> None:
        """Wake the one who waits, or will. Any thread may."""
        if self._loop is None:
            self._event.set()
            return
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:
            log.debug("the event loop of one who waited has been closed")

    def wait(self, seconds: float | None) -> None:
        """Wait until it rings, or so long; None for as long as it takes."""
        if isinstance(self._event, threading.Event):
            self._event.wait(seconds)
            self._event.clear()

    async def wait_async(self, seconds: float | None) -> None:
        """As `wait`, in the loop."""
        if isinstance(self._event, asyncio.Event):
            try:
                async with asyncio.timeout(seconds):
                    await self._event.wait()
            except TimeoutError:
                return
            self._event.clear()
