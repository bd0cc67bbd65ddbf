"""TaskMesh: the one place where the parts are wired together. It decides nothing."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar, Unpack, overload

from taskmesh.client.batch import Batch
from taskmesh.client.by_name import ByName
from taskmesh.client.class_task import BaseTask, Runs, again_on, base_instance, class_options, clothe, task_of
from taskmesh.client.discovery import Discovery
from taskmesh.client.hook_points import HookPoints
from taskmesh.client.meshes import mesh_named, note_mesh
from taskmesh.client.operating import Operating
from taskmesh.client.options import TaskArguments, check_queue, task_options
from taskmesh.client.portal import Portal
from taskmesh.client.result import AsyncResult
from taskmesh.client.task import AsyncTask, BoundTaskDecorator, Task, TaskDecorator, callable_task
from taskmesh.config import Settings, load_settings
from taskmesh.core.hooks import Hooks
from taskmesh.core.naming import check_task_name, share_main, task_name
from taskmesh.errors import UsageError
from taskmesh.nodes import private_nodes
from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.link import Link

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from taskmesh.codec.keyring import Keyring
    from taskmesh.config.arguments import SettingArguments
    from taskmesh.nodes.embedded_private import PrivateNode
    from taskmesh.worker.launch import Workers

P = ParamSpec("P")
R = TypeVar("R")

_wiring = threading.RLock()


def _forked() -> None:
    global _wiring  # noqa: PLW0603 - a thread that does not exist here may hold it
    _wiring = threading.RLock()


os.register_at_fork(after_in_child=_forked)


class TaskMesh(ByName, HookPoints, Operating):
    """A mesh: its name, its settings, its tasks, and the way to its nodes.

    With no settings it uses the embedded node of this account, started when first needed.

    Attributes:
        name: Name of the mesh.
        made_in: Name of the module that made it.
        settings: Every setting, with its source.
        hooks: What is called when workers and tasks begin and end.
        tasks: The tasks of this process by name.
    """

    private_node_variable = private_nodes.VARIABLE

    def __init__(self, name: str, **settings: Unpack[SettingArguments]) -> None:
        """Make a mesh. Nothing is started or connected until it is used.

        Args:
            name: 1 to 64 of `A-Z a-z 0-9 _ . -`. Processes with the same name and nodes are one mesh.
            settings: See `taskmesh.config.Settings`. What is not given comes from `TASKMESH_*` variables,
                then from `taskmesh.toml` or `[tool.taskmesh]` in the nearest `pyproject.toml`.

        Raises:
            ConfigError: A setting is unknown or impossible; the message names the nearest valid one.
        """
        self.settings: Settings = load_settings(name, settings, environ=os.environ, cwd=".")
        self.name = name
        self.made_in = _maker(self)
        self.tasks: dict[str, Task[..., Any]] = {}
        self.hooks = Hooks()
        self._discovery = Discovery(self.settings.include)
        self._private: PrivateNode | None = None
        self._portal: Portal | None = None
        self._link: Link | None = None
        note_mesh(self)

    def __reduce__(self) -> Any:
        """Pickle by name: the other process uses its own mesh of that name."""
        return mesh_named, (self.name,)

    def __repr__(self) -> str:
        """Show name and node."""
        where = (
            ", ".join(str(NodeAddress(url)) for url in self.settings.nodes)
            or f"{self.settings.embedded} node"
        )
        return f"<TaskMesh {self.name!r} on {where}>"

    @property
    def eager(self) -> bool:
        """Whether tasks run inline, in the caller."""
        return self.settings.eager

    # -- tasks --------------------------------------------------------------------

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

    def adopt(self, other: TaskMesh) -> dict[str, Task[..., Any]]:
        """Make every task of another mesh a task of this one as well, with all its options, and return them by name.

        For tests, above all: the app's tasks on a mesh of the test's own. Hooks of the other mesh stay there, and what
        the tasks themselves send goes where it went.

        Args:
            other: Stays as it is.

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

    @overload
    def submit(
        self, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncResult[R]: ...

    @overload
    def submit(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]: ...

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AsyncResult[Any]:
        """Send any callable to be run by a worker: a task, a function, a lambda, a closure.

        The function travels by value, with the globals that it uses as they are now.

        Raises:
            WrongArguments: The function does not take these arguments (a `TypeError`).
            NotPicklable: The function or an argument cannot be sent.
            SendRejected, SendUnknown: As `Task.delay`.
        """
        return callable_task(self, function).delay(*args, **kwargs)

    def result(self, task_id: str) -> AsyncResult[Any]:
        """Return a handle on any message of the mesh, whichever process sent it."""
        return self.portal.find(task_id, inline=self.eager)

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """Collect what this thread or coroutine sends, and send it in few round trips when the block ends.

        Handles have their ids at once, and results when the block has ended. Leaving the block by an exception
        sends nothing. All that is collected stays in memory: for a million calls, prefer `starmap`.

        Raises:
            BatchError: At the end: some were not accepted; its `batch.send()` sends those again.
        """
        batch = Batch(self.portal.sender)
        if not self.eager:
            self.portal.open_to_send()
        batch.open()
        try:
            yield batch
        finally:
            batch.close()
        batch.send()

    def executor(self, *, queue: str | None = None) -> Executor:
        """Return a `concurrent.futures.Executor` whose calls are run by the mesh's workers.

        Args:
            queue: Where its calls go; if not given, tasks go to theirs and the others to the default queue.
        """
        from taskmesh.client.executor import MeshExecutor

        return MeshExecutor(self, queue=check_queue(queue) if queue is not None else None)

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

    # -- workers ------------------------------------------------------------------

    def workers(
        self,
        concurrency: int | None = None,
        *,
        pool: str | Sequence[str] = (),
        queues: tuple[str, ...] = (),
        name: str = "",
        strategy: str = "",
        log_level: str = "WARNING",
    ) -> Workers:
        """Start worker processes for the length of a `with` block: `with mesh.workers(4): ...`.

        Args:
            concurrency: How many tasks at once; if not given, the setting for processes, else what suits the pool.
            pool: `process`, `thread` or `async`, with `:N` for how many at once; or a list of several, such as
                `["process:4", "async:500=io"]`. Processes if not given.
            queues: Which queues, best first, each with its weight if it has one: `("mail=3", "default")`; the
                default queue if none.
            name: Name of the worker.
            strategy: From which of its queues it takes next; the setting if not given.
            log_level: What they, and the tasks in them, say on standard error, unless the app sets up logging.

        Raises:
            UsageError: One of them is impossible.
        """
        from taskmesh.worker.launch import Workers

        return Workers(
            self,
            concurrency,
            pool=pool,
            queues=queues,
            name=name,
            strategy=strategy,
            log_level=log_level,
        )

    def run_worker(
        self,
        concurrency: int | None = None,
        *,
        pool: str | Sequence[str] = (),
        queues: tuple[str, ...] = (),
        name: str = "",
        strategy: str = "",
        burst: bool = False,
        log_level: str = "WARNING",
    ) -> int:
        """Run a worker here until it is told to stop (SIGTERM, Ctrl-C), and return its exit code."""
        from taskmesh.worker.launch import run_worker

        return run_worker(
            self,
            concurrency,
            pool=pool,
            queues=queues,
            name=name,
            strategy=strategy,
            burst=burst,
            log_level=log_level,
        )

    # -- wiring -------------------------------------------------------------------

    @property
    def portal(self) -> Portal:
        """What the handles of this mesh share in this process."""
        portal = self._portal
        if portal is None:
            with _wiring:
                portal = self._portal = self._portal or self._make_portal()
        return portal

    def _make_portal(self) -> Portal:
        settings = self.settings
        return Portal(
            self.link,
            result_expires_s=settings.result_expires,
            max_message_size=settings.max_message_size,
            max_result_size=settings.max_result_size,
            compress_over=settings.compress_over,
            send_timeout_s=settings.send_timeout,
            worker_command=self._worker_command,
        )

    def _worker_command(self, queue: str) -> str:
        from taskmesh.worker.locate import worker_command

        has_names = any(not task.by_value for task in self.tasks.values())
        return worker_command(self, self.name, queue, has_names=has_names)

    @property
    def link(self) -> Link:
        """This process's link to the mesh."""
        link = self._link
        if link is None:
            with _wiring:
                link = self._link = self._link or self._make_link()
        return link

    def _make_link(self) -> Link:
        settings = self.settings
        return Link(
            self.name,
            self.address,
            self.keyring,
            slots=settings.slots,
            connect_timeout_s=settings.connect_timeout,
            before_connect=self._ensure_embedded,
        )

    def address(self) -> NodeAddress:
        """Return where the node is; starts the embedded one if it does not run."""
        if self.settings.nodes:
            return NodeAddress(self.settings.nodes[0])
        if self.settings.embedded == "private":
            return NodeAddress(f"unix://{self._private_socket()}")
        from taskmesh.nodes.embedded import ensure_running

        return NodeAddress(
            f"unix://{ensure_running(self.name, durability=self._asked_durability).socket_path}",
            embedded=self.name,
        )

    def keyring(self) -> Keyring:
        """Return the keys of the mesh.

        Raises:
            ConfigError: The node is beyond this machine and no key is given.
        """
        from taskmesh.nodes.keyfile import load_keyring

        return load_keyring(
            self.settings.key, self.settings.key_file, os.environ, allow_create=self.address().is_local
        )

    @property
    def _asked_durability(self) -> Literal["process", "disk", "memory"] | None:
        """What somebody asked for; None leaves it to the kind of embedded node."""
        settings = self.settings
        return None if settings.source_of("durability") == "default" else settings.durability

    def _ensure_embedded(self) -> None:
        if not self.settings.nodes and self.settings.embedded == "shared":
            from taskmesh.nodes.embedded import ensure_running

            ensure_running(self.name, durability=self._asked_durability)

    def _private_socket(self) -> str:
        with _wiring:
            if self._private is None:
                inherited = private_nodes.inherited(self.name)
                if inherited:
                    return inherited
                from taskmesh.nodes.embedded_private import start_private

                self._private = start_private(self.name, durability=self._asked_durability or "memory")
                private_nodes.offer(self.name, self._private.socket_path)
            return self._private.socket_path

    @property
    def app_path(self) -> str:
        """Where others import this mesh from, `module:attribute`; empty if they cannot."""
        from taskmesh.worker.locate import path_of

        return path_of(self)

    def close(self) -> None:
        """Close connections, and end the private node if there is one. The mesh can be used again."""
        with _wiring:
            private, self._private = self._private, None
            portal, link = self._portal, self._link
            if private is not None:
                # handles of before refer to a node that is gone: what comes is wired anew
                self._portal = self._link = None
                private_nodes.withdraw(self.name, private.socket_path)
        if portal is not None:
            if private is not None:
                portal.end(f"the private node of mesh {self.name!r} was closed")
            portal.inbox.close()
        if link is not None:
            link.close()
        if private is not None:
            private.close()

    def __enter__(self) -> Self:
        """Use the mesh in a `with` block; it is closed at the end."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _maker(mesh: TaskMesh) -> str:
    """Return the name of the module that is making a mesh, be it of a class that is derived from `TaskMesh`."""
    frame = sys._getframe(2)  # noqa: SLF001 - two up; inspect is slow
    while frame.f_back is not None and frame.f_locals.get("self") is mesh:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", ""))


def _place(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(function)


def _same_place(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Tell whether two functions are one, defined again: a reload, a notebook cell, a closure."""
    return one is other or (
        task_name(one) == task_name(other) and hasattr(one, "__qualname__") and hasattr(other, "__qualname__")
    )
