"""Starting workers from Python."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

import msgspec

from taskmesh.balancing.named import chosen_strategy
from taskmesh.config.brokers import MESH
from taskmesh.config.settings import LOG_LEVELS, SETTINGS, Settings
from taskmesh.config.sources import absolute
from taskmesh.config.values import one_of, weighted_queues, whole
from taskmesh.errors import NodeUnavailable, UsageError, WorkerError
from taskmesh.nodes import private_nodes
from taskmesh.queue.manage import status
from taskmesh.worker.early import held
from taskmesh.worker.host import Host
from taskmesh.worker.locate import is_importing_app, path_of, task_modules
from taskmesh.worker.options import WorkerOptions
from taskmesh.worker.pools import SLOTS_MAX, Pool, read_pools, sized

#: How long apps may take to be imported, all in all; a machine with much to do is slow at that.
START_TIMEOUT_S = 120.0
#: What workers say that a program starts for itself, unless it asks for more.
QUIET = "WARNING"
#: Settings that reach workers by the environment, or mean nothing to them: a command line can be read by everybody.
_IN_THE_ENVIRONMENT = frozenset(
    {"nodes", "embedded", "embedded_nodes", "key", "key_file", "broker", "app", "eager"}
)


def options_for(
    mesh: Host,
    concurrency: int | None,
    queues: tuple[str, ...],
    name: str,
    *,
    pool: str | Sequence[str] = (),
    strategy: str = "",
    scheduler: bool = True,
    burst: bool = False,
    log_level: str = QUIET,
) -> WorkerOptions:
    """Return the options of a worker that serves a mesh of this process.

    Raises:
        UsageError: The number of tasks at once, a pool, a queue, the strategy, the name, the level or whether it
            is a candidate is impossible.
    """
    pools = read_pools(pool)
    if concurrency is None:
        concurrency = 0
    else:
        most = max(SLOTS_MAX[found.kind] for found in pools or (Pool(),))
        _check("concurrency", concurrency, whole(1, most))
    sized(pools, concurrency)
    if not isinstance(queues, (tuple, list)):
        raise UsageError(f"queues is {queues!r}: expected a tuple of names, such as ('mail', 'default')")
    for queue in queues:
        _check("a queue", queue, _weighted_queue)
    names, weights = weighted_queues(queues)
    _check("name", name, _worker_name)
    _check("log_level", log_level, _log_level)
    _check("scheduler", scheduler, _true_or_false)
    app = path_of(mesh)
    return WorkerOptions(
        app=app,
        mesh="" if app else mesh.name,
        settings={} if app else given_settings(mesh.settings),
        path=tuple(filter(None, (folder or absolute(".") for folder in sys.path))),
        concurrency=concurrency,
        pools=pools,
        queues=names,
        weights=weights,
        strategy=chosen_strategy(strategy, weights),
        scheduler=scheduler,
        name=name,
        probes="",  # it belongs to a program, which may start several
        include=task_modules(mesh, app),
        burst=burst,
        log_level=log_level.upper(),
        parent=os.getpid(),
    )


def _check(what: str, value: object, read: Callable[[Any], Any]) -> None:
    try:
        if read(value) != value:
            raise ValueError("expected a whole number, not a text")
    except ValueError as error:
        raise UsageError(f"{what} is {value!r}: {error}") from None


def _weighted_queue(value: object) -> object:
    weighted_queues([value])
    return value


def _worker_name(value: object) -> object:
    if not isinstance(value, str) or not value.isprintable():  # a lone surrogate is not printable either
        raise ValueError("expected a printable text")
    return value


def _log_level(value: object) -> object:
    one_of(*LOG_LEVELS)(value)
    return value


def _true_or_false(value: object) -> object:
    if value is not True and value is not False:
        raise ValueError("expected True or False")
    return value


def given_settings(settings: Settings) -> dict[str, Any]:
    """Return what a mesh was given in code, as arguments for another of its name where the rest is inherited."""
    given = {
        name: getattr(settings, name)
        for name in SETTINGS
        if settings.source_of(name) == "argument" and name not in _IN_THE_ENVIRONMENT
    }
    if "routes" in given:
        given["routes"] = dict(given["routes"])
    return given


def environment_for(mesh: Host) -> dict[str, str]:
    """Return the environment in which a worker finds the same nodes with the same keys."""
    environ = dict(os.environ)
    settings = mesh.settings
    addresses = mesh.addresses()
    if not settings.nodes and settings.embedded == "private":
        sockets = private_nodes.listed([address.url.removeprefix("unix://") for address in addresses])
        environ[private_nodes.VARIABLE] = f"{mesh.name}={sockets}"
    if not path_of(mesh):
        # the worker makes the mesh anew from its name: what was given as an argument must reach it
        environ["TASKMESH_NODES"] = ",".join(address.url for address in addresses)
        environ.pop("TASKMESH_EMBEDDED_NODES", None)
        environ["TASKMESH_KEY"] = mesh.keyring().dump()
        environ.pop("TASKMESH_KEY_FILE", None)
        environ["TASKMESH_BROKER"] = settings.broker or MESH
    return environ


def command_for(options: WorkerOptions) -> list[str]:
    """Return the command that starts a supervisor.

    Raises:
        WorkerError: It is asked for while a worker imports the app, and would start workers for ever.
    """
    if is_importing_app():
        raise WorkerError(
            "workers are started by the import of the app, which every worker imports: put the call under "
            'if __name__ == "__main__":'
        )
    # -P: a logging.py in the current folder must not stand in for the standard one
    words = msgspec.json.encode(options).decode()
    return [sys.executable, "-P", "-m", "taskmesh.worker", words]


def _started(mesh: Host, options: WorkerOptions) -> subprocess.Popen[bytes]:
    command, environment = command_for(options), environment_for(mesh)
    with held():
        return subprocess.Popen(command, env=environment)


class Workers:
    """Worker processes for the length of a `with` block."""

    def __init__(
        self,
        mesh: Host,
        concurrency: int | None,
        *,
        pool: str | Sequence[str] = (),
        queues: tuple[str, ...] = (),
        name: str = "",
        strategy: str = "",
        scheduler: bool = True,
        log_level: str = QUIET,
    ) -> None:
        """Prepare; `start` or `with` starts them."""
        self._mesh = mesh
        self._options = options_for(
            mesh,
            concurrency,
            queues,
            name,
            pool=pool,
            strategy=strategy,
            scheduler=scheduler,
            log_level=log_level,
        )
        self._name = name or f"workers-{os.getpid()}-{os.urandom(3).hex()}"
        self._options = msgspec.structs.replace(self._options, name=self._name)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the supervisor; 0 if it does not run."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> Self:
        """Start the processes, and return when they are known to the mesh.

        Raises:
            WorkerError: They did not start; their own words stand on standard error.
        """
        self._process = _started(self._mesh, self._options)
        try:
            self._wait_until_known(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    def _wait_until_known(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_known():
            code = process.poll()
            if code is not None:
                raise WorkerError(
                    f"the workers of mesh {self._mesh.name!r} ended with exit code {code} while starting"
                )
            if time.monotonic() > deadline:
                raise WorkerError(
                    f"the workers of mesh {self._mesh.name!r} did not start within {START_TIMEOUT_S:g} s"
                )
            time.sleep(0.01)

    def _is_known(self) -> bool:
        link = self._mesh.link
        try:
            counted = link.run(status(link.session, with_queues=False))
        except NodeUnavailable as error:
            if error.lasts:
                raise
            # as long as the workers are waited for, so is a node that is silent for a moment
            return False
        needle = f'"name": "{self._name}"'.encode()
        return any(needle in info for _, _, _, info, _ in counted.workers)

    def stop(self, grace_s: float = 30.0) -> None:
        """Have them finish what they run, and wait until they have ended."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(grace_s)
        except (subprocess.TimeoutExpired, KeyboardInterrupt) as error:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if isinstance(error, KeyboardInterrupt):
                raise

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


def run_worker(
    mesh: Host,
    concurrency: int | None,
    *,
    pool: str | Sequence[str] = (),
    queues: tuple[str, ...] = (),
    name: str = "",
    strategy: str = "",
    scheduler: bool = True,
    burst: bool = False,
    log_level: str = QUIET,
) -> int:
    """Run a worker as a process of its own until it ends, passing signals on, and return its exit code."""
    options = options_for(
        mesh,
        concurrency,
        queues,
        name,
        pool=pool,
        strategy=strategy,
        scheduler=scheduler,
        burst=burst,
        log_level=log_level,
    )
    process = _started(mesh, options)

    def pass_on(signum: int, _frame: object) -> None:
        process.send_signal(signum)

    before = {signum: signal.signal(signum, pass_on) for signum in (signal.SIGTERM, signal.SIGINT)}
    try:
        return process.wait()
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
