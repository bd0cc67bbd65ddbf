"""The event loop of a thread that runs what `async def` tasks return, one after the other."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

_here = threading.local()


def run_in_this_thread(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run what an `async def` task returned on this thread's own event loop, which stays for the next."""
    runner: asyncio.Runner | None = getattr(_here, "runner", None)
    if runner is None:
        import asyncio

        runner = _here.runner = asyncio.Runner()
    # a context of its own for each task: the runner's is the one in which it first ran
    return runner.run(coroutine, context=contextvars.copy_context())


def close_loop_of_this_thread() -> None:
    """Close the event loop that coroutines ran on here, if any did."""
    runner: asyncio.Runner | None = getattr(_here, "runner", None)
    if runner is not None:
        del _here.runner
        runner.close()
