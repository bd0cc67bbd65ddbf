"""Blocking calls beside an event loop: joining the mesh, connecting, starting the embedded node.

Each has a thread of its own and not one of the loop's default executor: that may be full of the user's
own blocking calls, and `asyncio.run` would wait for it at its end.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_under_way: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Callable[[], Any], _InThread[Any]]] = (
    weakref.WeakKeyDictionary()
)


async def in_thread_once(
    call: Callable[[], T],
    *,
    keep: Callable[[T], None] | None = None,
    orphaned: Callable[[T], None] | None = None,
) -> T:
    """Make a blocking call in a thread; whoever asks for the same while it is under way shares its result.

    Cancelling one who waits does not disturb the others, nor the call.

    Args:
        call: Told apart by equality; bound methods of one object are equal.
        keep: Called in the loop with the result, whether or not somebody still waits for it.
        orphaned: Called in the thread with the result if the loop was closed before it came.

    Raises:
        Exception: What `call` raised.
    """
    loop = asyncio.get_running_loop()
    calls = _under_way.setdefault(loop, {})
    shared = calls.get(call)
    if shared is None:
        shared = calls[call] = _InThread(call, keep, lambda: calls.pop(call, None))
        thread = threading.Thread(
            target=shared.work, args=(loop, orphaned), name="taskmesh-open", daemon=True
        )
        thread.start()
    value: T = await shared.result(loop)
    return value


class _InThread(Generic[T]):
    """One call, and those who wait for it."""

    def __init__(
        self, call: Callable[[], T], keep: Callable[[T], None] | None, ended: Callable[[], object]
    ) -> None:
        self._call = call
        self._keep = keep
        self._ended = ended
        self._waiting: list[asyncio.Future[T]] = []

    async def result(self, loop: asyncio.AbstractEventLoop) -> T:
        future: asyncio.Future[T] = loop.create_future()
        self._waiting.append(future)
        try:
            return await future
        finally:
            # a loop that ends meanwhile cancels all who wait, and nothing here may hold it
            self._waiting.remove(future)

    def work(self, loop: asyncio.AbstractEventLoop, orphaned: Callable[[T], None] | None) -> None:
        try:
            value = self._call()
        except Exception as error:  # noqa: BLE001 - raised again in the loop, by those who wait
            self._hand_over(loop, self._failed, error)
            return
        if not self._hand_over(loop, self._succeeded, value) and orphaned is not None:
            orphaned(value)

    def _hand_over(self, loop: asyncio.AbstractEventLoop, then: Callable[[Any], None], what: object) -> bool:
        try:
            loop.call_soon_threadsafe(then, what)
        except RuntimeError:
            # the loop has been closed: nobody waits any more
            self._ended()
            return False
        return True

    def _succeeded(self, value: T) -> None:
        self._ended()
        if self._keep is not None:
            self._keep(value)
        for future in self._waiting:
            if not future.done():
                future.set_result(value)

    def _failed(self, error: Exception) -> None:
        self._ended()
        for future in self._waiting:
            if not future.done():
                future.set_exception(error)
