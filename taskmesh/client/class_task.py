"""Tasks that are classes, in the manner of Celery: options as attributes, `run`, and hooks of their own."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from taskmesh.client.host import Host
from taskmesh.client.options import TaskArguments, task_options
from taskmesh.client.task import Task
from taskmesh.core.naming import check_task_name, task_name
from taskmesh.core.own_hooks import OWN_HOOKS, OwnHooks
from taskmesh.errors import Retry, UsageError

if TYPE_CHECKING:
    from taskmesh.core.request import Request

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class BaseTask(OwnHooks):
    """A task as a class: derive from it, define `run`, and `mesh.register_task(Charge())`.

    Options of `TaskArguments` may stand as attributes of the class: `queue = "mail"`, `priority = 7`. One instance
    serves all runs of a process, in pools of threads and coroutines several at a time; what its attributes hold is
    kept from run to run.

    Its hooks, from `before_start` to `after_return`, are called in the process that runs the task, except for a class
    that travels by value, since no worker can import it: it has none there. What they raise is logged and changes
    nothing.

    Attributes:
        name: How workers find it; `module.Class` if empty.
    """

    name: str = ""

    if TYPE_CHECKING:
        task: Task[..., Any]
        """What `mesh.register_task` returned."""

        run: Callable[..., Any]
        """The work: each class defines it, with arguments of its own."""

    @property
    def request(self) -> Request:
        """The message that it runs for; see `Task.request`."""
        return self.task.request

    def retry(self, *args: Any, **options: Any) -> Retry:
        """Have the message run again later; arguments, and what it raises, as `Task.retry`."""
        return self.task.retry(*args, **options)


class Runs(Protocol[P, R_co]):
    """What can be registered: it has a method `run`."""

    @property
    def run(self) -> Callable[P, R_co]:
        """Do the work."""


def has_own_hooks(kind: type[Any]) -> bool:
    """Tell whether a class defines any hook itself."""
    return any(getattr(kind, hook) is not getattr(OwnHooks, hook) for hook in OWN_HOOKS)


def class_options(kind: type[Any]) -> dict[str, Any]:
    """Return the options of a task that stand as attributes of its class."""
    return {
        option: getattr(kind, option)
        for option in TaskArguments.__annotations__
        if option != "bind" and hasattr(kind, option)
    }


def task_of(mesh: Host, given: Runs[P, R]) -> Task[P, R]:
    """Return the task that an instance makes.

    Args:
        mesh: Whose.
        given: An instance of a class derived from `BaseTask`, or the class, to be made without arguments.

    Raises:
        UsageError: It is neither, has no `run`, or an option or the name is impossible.
    """
    instance: Any = given() if isinstance(given, type) and issubclass(given, BaseTask) else given
    kind = type(instance)
    if not isinstance(instance, BaseTask) or not callable(getattr(instance, "run", None)):
        raise UsageError(
            f"register_task takes an instance of a class derived from mesh.Task that defines run(), not {given!r}"
        )
    name = instance.name or task_name(kind)
    check_task_name(name)
    task: Task[P, R] = Task(mesh, instance.run, name, task_options(class_options(kind)))
    return clothe(task, instance)


def base_instance(base: Any, name: str) -> BaseTask:
    """Return the instance that a function's task has for its class: `@mesh.task(base=...)`.

    Raises:
        UsageError: That is no class derived from `BaseTask`.
    """
    if not (isinstance(base, type) and issubclass(base, BaseTask)):
        raise UsageError(f"base={base!r}: expected a class derived from mesh.Task")
    instance = base()
    instance.name = name
    return instance


def clothe(task: Task[P, R], instance: BaseTask) -> Task[P, R]:
    """Give a task the hooks of an instance, and the instance the task."""
    instance.name = task.name
    instance.task = task
    task.instance = instance
    task.bind_to(instance)
    if has_own_hooks(type(instance)):
        task.own_hooks = instance
    return task


def again_on(mesh: Host, task: Task[P, R]) -> Task[P, R]:
    """Return a task of another mesh that is as a task is: its function, name, options and class."""
    function = task.function
    instance = copy(task.instance)  # an instance knows its task, and there are two from now on
    if instance is not None and getattr(function, "__self__", None) is task.instance:
        function = instance.run
    again: Task[P, R] = Task(mesh, function, task.name, task.options, by_value=task.by_value)
    return again if instance is None else clothe(again, instance)
