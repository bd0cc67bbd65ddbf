"""What `@mesh.task` returns, as type checkers see it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from taskmesh.client.task import AsyncTask, Task

P = ParamSpec("P")
R = TypeVar("R")


class BoundTaskDecorator(Protocol):
    """What `@mesh.task(bind=True)` returns: calls of the task leave out the first argument."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], R], /) -> Task[P, R]: ...


class TaskDecorator(Protocol):
    """What `@mesh.task(...)` returns, and `@mesh.cron(...)` and `@mesh.every(...)`, where a task stays what it is."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...
