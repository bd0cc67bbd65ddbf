"""What a worker runs for one chunk of `executor.map(..., chunksize=n)`.

Imports nothing of TaskMesh: unpickling it on a worker must cost nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any


def run_chunk(function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> Any:
    """Call the function once per tuple of arguments, and return the values; the first error ends the chunk.

    Returns:
        A list; for a coroutine function, a coroutine of it.
    """
    if inspect.iscoroutinefunction(inspect.unwrap(function)):
        return _run_chunk_async(function, calls)
    return [function(*args) for args in calls]


async def _run_chunk_async(function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    return [await function(*args) for args in calls]
