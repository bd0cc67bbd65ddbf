"""Run a task inline: the same encodings as on the way to a worker and back, without the way."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from taskmesh.client.portal import Portal
from taskmesh.client.result import AsyncResult
from taskmesh.client.sender import SendOptions
from taskmesh.codec.outcome import Outcome
from taskmesh.codec.pickling import decode_call, encode_call, encode_error, encode_value
from taskmesh.core.context import CURRENT, Running
from taskmesh.core.ids import check_task_id


def run_eagerly(
    portal: Portal,
    name: str,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: SendOptions,
    task_id: str | None,
) -> AsyncResult[Any]:
    """Run the function here, and return a handle that has the outcome.

    Arguments and value are pickled and unpickled as on the way to a worker, so that what could not be sent
    fails here too.
    """
    task_id = check_task_id(task_id) if task_id is not None else portal.sender.new_id()
    handle: AsyncResult[Any] = AsyncResult(portal, task_id, name, sent_here=True)
    encoding, body, clear_size = encode_call(args, kwargs)
    args, kwargs = decode_call(encoding, body, clear_size)
    token = CURRENT.set(
        Running(
            task_id, name, options.queue, options.headers, attempt=1, crashes=0, worker=portal.client_name
        )
    )
    error = value = None
    state, value_encoding = "SUCCESS", 0
    try:
        result = function(*args, **kwargs)
        if inspect.iscoroutine(result):
            result = _run_coroutine(result)
        if not options.ignore_result:
            value_encoding, value = encode_value(result, max_size=portal.max_result_size)
    except Exception as raised:  # noqa: BLE001 - a task may raise anything; the caller gets it from get()
        state, error = "FAILURE", encode_error(raised)
    finally:
        CURRENT.reset(token)
    handle.set_outcome(
        Outcome(
            task_id,
            state,
            value=value,
            encoding=value_encoding,
            error=error,
            worker=portal.client_name,
            attempt=1,
        )
    )
    return handle


def _run_coroutine(coroutine: Any) -> Any:
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    # a loop runs in this thread already, and loops do not nest
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()
