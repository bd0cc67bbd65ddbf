"""A protocol for one node, held to one node of several as it is: where there is no view yet to go by."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TypeVar

from taskmesh.core.steps import Call, Pause, Reply, Request, Round, Steps, all_answered

T = TypeVar("T")


def pin(steps: Steps[T], node: str) -> Generator[Round | Pause, Sequence[Reply], T]:
    """Run a protocol whose calls all go to one node, except those that name another."""
    try:
        request: Request = next(steps)
        while True:
            if isinstance(request, Pause):
                yield request
                request = steps.send([])
            else:
                calls = [
                    Call(call.script, call.prefix, call.args, call.patience_s, call.node or node)
                    for call in request
                ]
                request = steps.send(list((yield Round(calls, all_answered))))
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
