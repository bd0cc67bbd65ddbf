"""Making functions and classes tasks of a mesh, and finding the modules in which they stand."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from importlib import import_module
from typing import Any, Literal, ParamSpec, TypeVar, Unpack, overload

from taskmesh.app.wiring import Wiring
from taskmesh.client.class_task import BaseTask, Runs, again_on, base_instance, class_options, clothe, task_of
from taskmesh.client.options import TaskArguments, task_options
from taskmesh.client.task import AsyncTask, Task
from taskmesh.client.task_decorators import BoundTaskDecorator, TaskDecorator
from taskmesh.core.naming import check_task_name, share_main, task_name
from taskmesh.errors import UsageError

P = ParamSpec("P")
R = TypeVar("R")


class Registering(Wiring):
    """What a mesh offers to the modules that define tasks."""

    @overload
    def task(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...

    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...

    @overload
    def task(
        self,
        *,
        bind: Literal[True],
        name: str | None = None,
        **options: Unpack[TaskArguments],
    ) -> BoundTaskDecorator: ...

    @overload
    def task(
        self,
        *,
        bind: Literal[False] = False,
        name: str | None = None,
        base: type[BaseTask] | None = None,
        **options: Unpack[TaskArguments],
    ) -> TaskDecorator: ...

    def task(
        self,
        function: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        base: type[BaseTask] | None = None,
        **options: Any,
    ) -> Any:
        """Make a function a task: `@mesh.task` or `@mesh.task(queue="mail")`. Sync or `async def`.

        Args:
            function: The function, when used without options.
            name: Its name in messages; `module.qualname` if not given.
            base: A class derived from `BaseTask` whose options and hooks it has.
            options: For all its messages, see `TaskArguments`: queue, priority, expires, max_retries and more. And
                `bind=True`, which gives the task itself to the function as its first argument.

        Raises:
            UsageError: An option is unknown or impossible, or another function has this name.
        """
        if name is not None:
            check_task_name(name)
        chosen = task_options(options if base is None else {**class_options(base), **options})

        def decorate(fn: Callable[..., Any]) -> Task[..., Any]:
            if not callable(fn):
                raise UsageError(f"@mesh.task decorates a function, not {fn!r}")
            task = Task(self, fn, name or task_name(fn), chosen)
            return self._register(task if base is None else clothe(task, base_instance(base, task.name)))

        return decorate if function is None else decorate(function)

    def register_task(self, task: Runs[P, R]) -> Task[P, R]:
        """Make an instance of a class-based task a task of this mesh, and return what can be sent.

        Args:
            task: An instance of a class derived from `BaseTask` that defines `run`.

        Raises:
            UsageError: It is none, or an option is impossible, or another function has its name.
        """
        return self._register(task_of(self, task))

    def adopt(self, other: Registering) -> dict[str, Task[..., Any]]:
        """Make every task of another mesh a task of this one as well, with all its options, and return them by name.

        For tests, above all: the app's tasks on a mesh of the test's own. Hooks of the other mesh stay there, and what
        the tasks themselves send goes where it went.

        Args:
            other: The other mesh; it stays as it is.

        Raises:
            UsageError: Another function of this mesh has one of the names.
        """
        return {name: self._register(again_on(self, task)) for name, task in other.tasks.items()}

    def _register(self, task: Task[P, R]) -> Task[P, R]:
        known = self.tasks.get(task.name)
        if known is not None and not _same_place(known.function, task.function):
            raise UsageError(
                f"two functions of mesh {self.name!r} are named {task.name!r}: {_place(known.function)} and "
                f"{_place(task.function)}; give one of them name="
            )
        self.tasks[task.name] = task
        if task.own_hooks is not None:
            self.hooks.watch()
        share_main(task.function)
        return task

    def autodiscover_tasks(
        self, packages: Sequence[str] | Callable[[], Sequence[str]], related_name: str | None = "tasks"
    ) -> None:
        """Have workers import `shop.tasks`, `mail.tasks` and so on, where a package has such a module.

        Nothing is imported now, so this may stand right after the mesh in its module.

        Args:
            packages: Names of packages, or a function that returns them.
            related_name: Name of the module in each; None for the packages themselves.

        Raises:
            UsageError: These are no names.
        """
        self._discovery.add(packages, related_name)

    def import_tasks(self, *modules: str) -> None:
        """Import what `include` and `autodiscover_tasks` name; workers and `taskmesh call` do.

        Args:
            modules: These as well.

        Raises:
            ConfigError: A module or a package does not exist.
            Whatever a module raises; a note says which it was.
        """
        self._discovery.run(modules)
        # once, for all processes that are forked from this one: what their tasks need to send others
        import_module("taskmesh.client.portal")


def _place(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(function)


def _same_place(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Tell whether two functions are one, defined again: a reload, a notebook cell, a closure."""
    return one is other or (
        task_name(one) == task_name(other) and hasattr(one, "__qualname__") and hasattr(other, "__qualname__")
    )
