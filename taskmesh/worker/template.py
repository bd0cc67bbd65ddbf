"""The template: imports the app once, then forks a child whenever the supervisor asks.

It has one thread and opens no connection, so forking it is safe. It says what it found; it says which
children have ended.
"""

from __future__ import annotations

import hashlib
import logging
import os
import select
import signal
import socket
import sys
import threading
from typing import Any

import msgspec

from taskmesh.balancing.named import chosen_strategy, strategy_named
from taskmesh.config.sources import VARIABLE_PREFIX
from taskmesh.core.hooks import WorkerContext
from taskmesh.core.version import VERSION
from taskmesh.errors import TaskMeshError, is_usage
from taskmesh.worker.early import let, let_again
from taskmesh.worker.host import App
from taskmesh.worker.keepable import check_limits_of_tasks, queue_of
from taskmesh.worker.locate import importing, load_app
from taskmesh.worker.logs import set_up_app_logging, set_up_logging
from taskmesh.worker.options import ChildOrder, MeshFacts, WorkerOptions, limits_for, pools_for
from taskmesh.worker.pools import PROCESS
from taskmesh.worker.sources import files_of_failure, imported_files
from taskmesh.worker.wire import Wire

log = logging.getLogger("taskmesh.worker")


def find_mesh(options: WorkerOptions, kind: type[App]) -> App:
    """Import the app that the options name.

    Args:
        options: Name it, or the mesh of a worker that runs by-value tasks only.
        kind: The class of apps, which makes one from the name of a mesh.

    Raises:
        AppNotFound, ConfigError: As `load_app`. Whatever the app's own import raises, too.
    """
    for folder in reversed(options.path):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    mesh = load_app(options.app, kind) if options.app else kind(options.mesh, **options.settings)
    with importing(options.app):
        mesh.import_tasks(*options.include)
    if options.has_broker:
        mesh.use_broker(os.environ[VARIABLE_PREFIX + "BROKER"])
    return mesh


def build_of(mesh: App) -> bytes:
    """Return what this build can run, as a short hash: TaskMesh's version and the tasks' names."""
    text = "\n".join([VERSION, *sorted(mesh.tasks)])
    return hashlib.sha256(text.encode()).hexdigest()[:12].encode()


def facts_of(mesh: App, options: WorkerOptions) -> MeshFacts:
    """Return what the supervisor must know of the app."""
    settings = mesh.settings
    addresses = mesh.addresses()
    module = sys.modules.get(options.app.partition(":")[0])
    return MeshFacts(
        mesh=mesh.name,
        urls=tuple(address.url for address in addresses),
        embedded=bool(addresses[0].embedded),
        durability="" if settings.source_of("durability") == "default" else settings.durability,
        asked_of_servers=settings.asked_of_servers,
        keyring=mesh.keyring().dump(),
        tasks=tuple(sorted(mesh.tasks)),
        task_queues=tuple(queue_of(mesh, name) for name in sorted(mesh.tasks)),
        build=build_of(mesh).decode(),
        default_queue=settings.default_queue,
        concurrency=settings.concurrency,
        strategy=_strategy(options, settings.strategy),
        slots=settings.slots,
        lease_ttl_s=settings.lease_ttl,
        grace_s=settings.grace,
        startup_timeout_s=settings.startup_timeout,
        soft_time_limit_s=settings.soft_time_limit,
        time_limit_s=settings.time_limit,
        max_crashes=settings.max_crashes,
        dead_expires_s=int(settings.dead_letter_expires),
        log_level=settings.log_level,
        log_format=settings.log_format,
        max_tasks_per_child=settings.max_tasks_per_child,
        max_memory_per_child=settings.max_memory_per_child,
        nodes_per_worker=settings.nodes_per_worker,
        schedules=mesh.declared_schedules(),
        acceptors=settings.acceptors,
        replicas=settings.replicas,
        broker=settings.broker or "",
        probes=settings.probes or "",
        has_worker_hooks=mesh.hooks.has("on_worker_stop"),
        threads=tuple(
            thread.name for thread in threading.enumerate() if thread is not threading.main_thread()
        ),
        sources=tuple(imported_files()) if options.reload else (),
        place=str(getattr(module, "__file__", "") or ""),
    )


def _strategy(options: WorkerOptions, setting: str) -> str:
    """Return the name of the strategy that is meant, after a look at whether it can be made.

    Raises:
        ConfigError: It cannot.
    """
    name = chosen_strategy(options.strategy, options.weights, setting)
    strategy_named(name)
    return name


def preload(options: WorkerOptions) -> None:
    """Import what every child needs, so that they share its memory."""
    import hiredis
    import redis.connection

    from taskmesh.worker.child import child_class

    for kind in {PROCESS, *(pool.kind for pool in options.pools)}:
        child_class(kind)
    _ = (hiredis, redis.connection)


def serve(wire: Wire, mesh: App, build: bytes) -> None:
    """Fork children as ordered, and tell which have ended, until the supervisor is gone."""
    ended_r, ended_w = os.pipe()
    os.set_blocking(ended_w, False)
    signal.set_wakeup_fd(ended_w, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _signum, _frame: None)
    let_again()
    while True:
        ready, _, _ = select.select([wire.fileno(), ended_r], [], [])
        if ended_r in ready:
            os.read(ended_r, 4096)
        _tell_ended(wire)
        if wire.fileno() in ready:
            messages, fds = wire.receive()
            if wire.is_closed():
                return
            for message, page_fd in zip(messages, fds, strict=True):
                order = msgspec.convert(message["fork"], ChildOrder)
                pid = _fork(wire, mesh, build, order, page_fd, (ended_r, ended_w))
                _tell(wire, {"forked": order.number, "pid": pid})
            for fd in fds:
                os.close(fd)


def _tell_ended(wire: Wire) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _tell(wire, {"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _sources(options: WorkerOptions, error: BaseException) -> list[str]:
    return files_of_failure(error) if options.reload else []


def asyncio_run(coroutine: Any) -> None:
    """Run what an `async def` hook returned: here in a loop of its own, since no task runs in this process."""
    import asyncio

    asyncio.run(coroutine)


def _tell(wire: Wire, message: dict[str, Any]) -> None:
    try:
        wire.send(message)
    except OSError as error:
        log.debug("the supervisor does not listen (%s); its end is about to be noticed", error)


def _fork(
    wire: Wire, mesh: App, build: bytes, order: ChildOrder, page_fd: int, pipes: tuple[int, int]
) -> int:
    from taskmesh.worker.child import child_main
    from taskmesh.worker.process import die_with_parent, exit_after

    parent = os.getpid()
    # a signal to stop that comes before the child can heed it must wait, not get lost
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        return pid

    def live() -> int:
        die_with_parent(parent)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        wire.socket.close()
        for fd in pipes:
            os.close(fd)
        return child_main(mesh, order, build, page_fd)

    exit_after(live)
    raise AssertionError("a forked child came back")


def main(argv: list[str], kind: type[App]) -> int:
    """Run the template: `python -m taskmesh.cli.template FD OPTIONS PARENT`.

    Args:
        argv: The socket's descriptor, the options as JSON, the supervisor's process id.
        kind: The class of apps.
    """
    from taskmesh.worker.process import die_with_parent

    wire = Wire(socket.socket(fileno=int(argv[0])))
    options = msgspec.json.decode(argv[1], type=WorkerOptions)
    die_with_parent(int(argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # nor may it be ignored: what is ignored when it is sent, a blocked process never hears of (POSIX allows it)
    signal.signal(signal.SIGTERM, lambda _signum, _frame: None)
    let()
    set_up_logging(options.log_level, options.log_format)
    what = f"importing {options.app!r}"
    try:
        mesh = find_mesh(options, kind)
        mesh.hooks.let_ctrl_c_through = False
        set_up_app_logging(mesh.settings, options.log_level, options.log_format)
        what = "a hook of on_worker_start"
        context = WorkerContext(options.name, options.queues)
        mesh.hooks.start("on_worker_start", context, asyncio_run)
        facts = facts_of(mesh, options)
        check_limits_of_tasks(mesh, limits_for(options, facts), pools_for(options, facts))
    except TaskMeshError as error:
        _tell(wire, {"failed": str(error), "usage": is_usage(error), "sources": _sources(options, error)})
        return 2
    except BaseException as error:  # noqa: BLE001 - the app's own import may raise anything; it is told to the user
        import traceback

        text: Any = "".join(traceback.format_exception(error))
        _tell(
            wire, {"failed": f"{what} failed:\n{text}", "usage": False, "sources": _sources(options, error)}
        )
        return 1
    preload(options)
    _tell(wire, {"ready": msgspec.to_builtins(facts)})
    serve(wire, mesh, facts.build.encode())
    mesh.hooks.tell("on_worker_stop", asyncio_run, context)
    return 0
