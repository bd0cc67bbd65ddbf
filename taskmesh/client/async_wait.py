"""Waiting for outcomes in an event loop: `await result`, and results as they complete."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from taskmesh.client.ear import Ear
from taskmesh.client.portal import WHO_SERVES_S
from taskmesh.client.result import AsyncResult
from taskmesh.core.waiting import who_waits

if TYPE_CHECKING:
    from taskmesh.client.portal import Portal
    from taskmesh.errors import TaskTimeout

R = TypeVar("R")


async def wait_async(portal: Portal, handle: AsyncResult[R]) -> R:
    """Wait for the outcome; return the task's value or raise what it raised, as `AsyncResult.get` does."""
    handle.reopen()
    if not handle.is_settled():
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def told(_: AsyncResult[Any], error: Exception | None) -> None:
            if settled.done():
                return
            if error is None:
                settled.set_result(None)
            else:
                settled.set_exception(error)

        await _look_who_waits(portal, handle)
        ear = ear_of(portal)
        wait = ear.wait(handle, told)
        try:
            await settled
        finally:
            ear.leave(wait)
    return handle.conclude()


async def as_completed_async(
    portal: Portal,
    handles: Sequence[AsyncResult[R]],
    timeout: float | None,  # noqa: ASYNC109 - for all of them together, and between them the caller works
    late: Callable[[list[AsyncResult[R]]], TaskTimeout],
) -> AsyncIterator[AsyncResult[R]]:
    """Yield handles as their messages end, each once.

    Args:
        portal: Theirs.
        handles: Any number.
        timeout: Seconds for all of them; None for ever.
        late: Makes the error from those that had not ended in time.
    """
    loop = asyncio.get_running_loop()
    deadline_s = None if timeout is None else loop.time() + timeout
    waiting = {id(handle): handle for handle in handles}
    ended: deque[tuple[AsyncResult[Any], Exception | None]] = deque()
    heard = asyncio.Event()

    def told(handle: AsyncResult[Any], error: Exception | None) -> None:
        ended.append((handle, error))
        heard.set()

    for handle in waiting.values():
        handle.reopen()
    for handle in [handle for handle in waiting.values() if not handle.is_settled()][:1]:
        await _look_who_waits(portal, handle)
    ear = ear_of(portal)
    waits = []
    for handle in waiting.values():
        if handle.is_settled():
            ended.append((handle, None))
        else:
            waits.append(ear.wait(handle, told))
    try:
        while waiting:
            while ended:
                handle, error = ended.popleft()
                if error is not None:
                    raise error
                del waiting[id(handle)]
                yield handle
            heard.clear()
            if waiting:
                try:
                    async with asyncio.timeout_at(deadline_s):
                        await heard.wait()
                except TimeoutError:
                    raise late(list(waiting.values())) from None
    finally:
        for wait in waits:
            ear.leave(wait)


async def _look_who_waits(portal: Portal, handle: AsyncResult[Any]) -> None:
    waiting = who_waits(handle.task)
    if waiting:
        await portal.link.run_async(portal.look_who_waits(waiting, handle), within_s=WHO_SERVES_S)


def ear_of(portal: Portal) -> Ear:
    """Return the ear of the running loop."""
    loop = asyncio.get_running_loop()
    ear = portal.ears.get(loop)
    if ear is None:
        ear = portal.ears[loop] = Ear(portal)
    return ear
