"""The soft limit of a coroutine: raised where it waits, by cancelling that wait.

A signal would interrupt the event loop instead of the coroutine. What the coroutine finds is a `SoftTimeLimitExceeded`
that is a `CancelledError` as well: its own `except SoftTimeLimitExceeded` catches it, and whatever it waits for (task
groups, locks, timeouts) cleans up as it does when cancelled. Outside of it the error is a plain one.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, TypeVar

from taskmesh.errors import SoftTimeLimitExceeded

R = TypeVar("R")


class _SoftCancelled(SoftTimeLimitExceeded, asyncio.CancelledError):
    """How the limit looks from inside."""


async def within(coroutine: Coroutine[Any, Any, R], seconds: float, error: SoftTimeLimitExceeded) -> R:
    """Run a coroutine, and raise an error in it if it takes longer.

    Args:
        coroutine: What to run.
        seconds: How long it may take. One that never waits is not reached.
        error: What to raise.

    Raises:
        SoftTimeLimitExceeded: `error`, unless the coroutine catches it.
    """
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a coroutine with a limit runs in a task of an event loop")
    fired: list[bool] = []

    def fire() -> None:
        fired.append(True)
        task.cancel()

    def heed() -> BaseException | None:
        if not fired:
            return None
        fired.clear()
        task.uncancel()
        return _SoftCancelled(str(error), **error.__dict__)

    timer = asyncio.get_running_loop().call_later(seconds, fire)
    try:
        result: R = await _heeding(coroutine, heed)
    except _SoftCancelled as found:
        raise error.with_traceback(found.__traceback__) from found.__cause__
    finally:
        timer.cancel()
        if fired:
            # what it waited for did not heed the cancellation, and it has ended since
            task.uncancel()
    return result


@types.coroutine
def _heeding(
    coroutine: Coroutine[Any, Any, R], heed: Callable[[], BaseException | None]
) -> Generator[Any, Any, R]:
    """Run a coroutine as `await` does, but put another error in the place of a cancellation where `heed` has one."""
    step: Callable[[], Any] = partial(coroutine.send, None)
    while True:
        try:
            waits_for = step()
        except StopIteration as stop:
            value: R = stop.value
            return value
        try:
            sent = yield waits_for
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:  # noqa: BLE001 - whatever is thrown in is the coroutine's to handle
            thrown = (heed() if isinstance(error, asyncio.CancelledError) else None) or error
            step = partial(coroutine.throw, thrown)
        else:
            step = partial(coroutine.send, sent)
