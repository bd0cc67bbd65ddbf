"""TaskMesh: the one place where the parts are wired together. It decides nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar, Unpack, overload

from taskmesh.client.portal import Portal
from taskmesh.client.result import AsyncResult
from taskmesh.client.sender import Batch, SendOptions, check_queue
from taskmesh.client.task import AsyncTask, Task, TaskDecorator, TaskOptions, check_expires
from taskmesh.config import Settings, load_settings
from taskmesh.core.naming import task_name
from taskmesh.errors import UsageError
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

#: Tells the processes that a mesh starts where its private node is: `<mesh>=<socket>`.
PRIVATE_NODE_VARIABLE = "TASKMESH_PRIVATE_NODE"


class TaskMesh:
    """A mesh: its name, its settings, its tasks, and the way to its nodes.

    With no settings it uses the embedded node of this account, started when first needed.

    Attributes:
        name: Name of the mesh.
        settings: Every setting, with its source.
        tasks: The tasks of this process by name.
    """

    private_node_variable = PRIVATE_NODE_VARIABLE

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
        self.tasks: dict[str, Task[..., Any]] = {}
        self._private: PrivateNode | None = None

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
        name: str | None = None,
        queue: str | None = None,
        ignore_result: bool = False,
        result_expires: float | None = None,
    ) -> TaskDecorator: ...

    def task(
        self,
        function: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        queue: str | None = None,
        ignore_result: bool = False,
        result_expires: float | None = None,
        **unknown: Any,
    ) -> Any:
        """Make a function a task: `@mesh.task` or `@mesh.task(queue="mail")`. Sync or `async def`.

        Args:
            function: The function, when used without options.
            name: Its name in messages; `module.qualname` if not given.
            queue: Where its messages go; the mesh's `default_queue` if not given.
            ignore_result: Keep the state of outcomes only.
            result_expires: Seconds to keep outcomes, instead of the mesh's.
            unknown: Refused by name.

        Raises:
            UsageError: An option is unknown or impossible, or another function has this name.
        """
        if unknown:
            raise UsageError(
                f"@mesh.task does not know the option {min(unknown)!r}; it knows name, queue, ignore_result "
                "and result_expires"
            )
        options = TaskOptions(
            queue=check_queue(queue) if queue is not None else None,
            ignore_result=ignore_result,
            result_expires_s=check_expires(result_expires) if result_expires is not None else None,
        )

        def decorate(fn: Callable[..., Any]) -> Task[..., Any]:
            if not callable(fn):
                raise UsageError(f"@mesh.task decorates a function, not {fn!r}")
            return self._register(Task(self, fn, name or task_name(fn), options))

        return decorate if function is None else decorate(function)

    def _register(self, task: Task[P, R]) -> Task[P, R]:
        known = self.tasks.get(task.name)
        if known is not None and not _same_place(known.function, task.function):
            raise UsageError(
                f"two functions of mesh {self.name!r} are named {task.name!r}: {_place(known.function)} and "
                f"{_place(task.function)}; give one of them name="
            )
        self.tasks[task.name] = task
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
            NotPicklable: The function or an argument cannot be sent.
            SendRejected, SendUnknown: As `Task.delay`.
        """
        if isinstance(function, Task):
            return function.delay(*args, **kwargs)
        if not callable(function):
            raise UsageError(f"submit() takes a callable first, not {function!r}")
        if self.eager:
            return Task(self, function, task_name(function), TaskOptions()).apply(args, kwargs)
        portal = self.portal
        portal.link.open()
        name, content_hash, blob = portal.sender.pack_function(function)
        message = portal.sender.build(name, args, kwargs, self._plain_options, function=content_hash)
        handle: AsyncResult[Any] = AsyncResult(
            portal, message.task_id.decode(), name, round_=portal.inbox.round, sent_here=True
        )
        if handle.round:
            portal.inbox.expect(handle)
        portal.sender.send_one(message, {content_hash.encode(): blob})
        return handle

    @cached_property
    def _plain_options(self) -> SendOptions:
        return SendOptions(
            queue=self.settings.default_queue,
            ignore_result=False,
            result_ttl_s=int(self.settings.result_expires),
        )

    def result(self, task_id: str) -> AsyncResult[Any]:
        """Return a handle on any message of the mesh, whichever process sent it."""
        from taskmesh.core.ids import check_task_id

        return AsyncResult(self.portal, check_task_id(task_id))

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """Collect this thread's sends and make them in few round trips when the block ends.

        Leaving the block by an exception sends nothing. Handles have their ids at once.

        Raises:
            BatchError: At the end: some were not accepted; its `batch.send()` sends those again.
        """
        sender = self.portal.sender
        if sender.open_batch is not None:
            raise UsageError(
                "mesh.batch() inside mesh.batch(): the outer one already collects this thread's sends"
            )
        self.portal.link.open()
        batch = Batch(sender)
        sender.set_open_batch(batch)
        try:
            yield batch
        finally:
            sender.set_open_batch(None)
        batch.send()

    def executor(self, *, queue: str | None = None) -> Executor:
        """Return a `concurrent.futures.Executor` whose calls are run by the mesh's workers."""
        from taskmesh.client.executor import MeshExecutor

        return MeshExecutor(self, queue=queue)

    # -- workers ------------------------------------------------------------------

    def workers(
        self, concurrency: int | None = None, *, queues: tuple[str, ...] = (), name: str = ""
    ) -> Workers:
        """Start worker processes for the length of a `with` block: `with mesh.workers(4): ...`.

        Args:
            concurrency: How many child processes; the setting if not given.
            queues: Which queues; the default queue if none.
            name: Name of the worker.
        """
        from taskmesh.worker.launch import Workers

        return Workers(self, concurrency or self.settings.concurrency, queues=queues, name=name)

    def run_worker(
        self,
        concurrency: int | None = None,
        *,
        queues: tuple[str, ...] = (),
        name: str = "",
        burst: bool = False,
    ) -> int:
        """Run a worker here until it is told to stop (SIGTERM, Ctrl-C), and return its exit code."""
        from taskmesh.worker.launch import run_worker

        return run_worker(
            self, concurrency or self.settings.concurrency, queues=queues, name=name, burst=burst
        )

    # -- wiring -------------------------------------------------------------------

    @cached_property
    def portal(self) -> Portal:
        """What the handles of this mesh share in this process."""
        settings = self.settings
        return Portal(
            self.link,
            result_expires_s=settings.result_expires,
            max_message_size=settings.max_message_size,
            max_result_size=settings.max_result_size,
            compress_over=settings.compress_over,
            send_timeout_s=settings.send_timeout,
            worker_command=f"taskmesh worker {self.app_path or '--mesh ' + self.name}",
        )

    @cached_property
    def link(self) -> Link:
        """This process's link to the mesh."""
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

        return NodeAddress(f"unix://{ensure_running(self.name).socket_path}", embedded=self.name)

    def keyring(self) -> Keyring:
        """Return the keys of the mesh.

        Raises:
            ConfigError: The node is beyond this machine and no key is given.
        """
        from taskmesh.nodes.keyfile import load_keyring

        return load_keyring(
            self.settings.key, self.settings.key_file, os.environ, allow_create=self.address().is_local
        )

    def _ensure_embedded(self) -> None:
        if not self.settings.nodes and self.settings.embedded == "shared":
            from taskmesh.nodes.embedded import ensure_running

            ensure_running(self.name)

    def _private_socket(self) -> str:
        mesh, _, inherited = os.environ.get(PRIVATE_NODE_VARIABLE, "").partition("=")
        if mesh == self.name and inherited:
            return inherited
        if self._private is None:
            from taskmesh.nodes.embedded_private import start_private

            self._private = start_private(self.name)
        return self._private.socket_path

    @property
    def app_path(self) -> str:
        """Where others import this mesh from, `module:attribute`; empty if they cannot."""
        from taskmesh.worker.locate import path_of

        return path_of(self)

    def close(self) -> None:
        """Close connections, and end the private node if there is one. The mesh can be used again."""
        if "link" in self.__dict__:
            self.link.close()
        if self._private is not None:
            self._private.close()
            self._private = None
            for name in ("portal", "link"):
                self.__dict__.pop(name, None)

    def __enter__(self) -> Self:
        """Use the mesh in a `with` block; it is closed at the end."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _place(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(function)


def _same_place(one: Callable[..., Any], other: Callable[..., Any]) -> bool:
    """Tell whether two functions are one, defined again: a reload, a notebook cell, a closure."""
    return one is other or getattr(one, "__qualname__", 1) == getattr(other, "__qualname__", 2)
