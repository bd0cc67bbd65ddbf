"""A scene: one mesh on a real node, real worker processes, and the ledger of what was accepted.

Whatever is done to the processes, the ledger must hold at the end: every accepted id is final exactly once,
no outcome that was seen ever changes, and every value is right.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import psutil
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from taskmesh import AsyncResult, TaskMesh
from taskmesh.core.record import Record, parse
from taskmesh.core.state import FINAL, LETTER
from taskmesh.errors import TaskDead
from taskmesh.worker.options import WorkerOptions
from taskmesh.worker.pools import read_pools, seats, settled
from tests.apps import limited_tasks, worker_tasks
from tests.faults.readers import OtherReader, OwnReader
from tests.support import wait_until

ROOT = Path(__file__).parents[2]
KEY = "chaos-" + 64 * "0"
WORKERS_ONLY = ("lease_ttl",)
#: Where a machine has far too much to do, a process takes as long as that to start or to end: a deadline that passes is
#: to mean that it never will.
PATIENCE_S = 90.0
#: A worker is several processes, one after the other.
START_S = 180.0
#: As long as that takes all that was sent to end; and each look at what has ended, when that is over.
SETTLED_S, LOOK_S = 120.0, 10.0


class Worker:
    """A worker's processes: the supervisor is our child, the others are known by their parents."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, name: str) -> None:
        self.process = process
        self.pid = process.pid
        self.log = log
        self.name = name
        self.supervisor = psutil.Process(process.pid)

    def said(self) -> str:
        """Return what it has logged."""
        return self.log.read_text("utf-8", "replace")

    def says(self, words: str, timeout_s: float = PATIENCE_S) -> None:
        """Wait until it has logged these words."""
        self.until(lambda: words in self.said(), timeout_s, f"{self.name} says {words!r}")

    def until(self, predicate: Callable[[], Any], timeout_s: float, what: str) -> None:
        """Wait for something; when it does not come, what the worker has said by then is told."""
        try:
            wait_until(predicate, timeout_s, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.name} said:\n{self.said()}") from None

    def was_suspected(self) -> bool:
        """Tell whether others have declared it dead: on a machine with too much to do that happens unasked."""
        said = self.said()
        return "was declared dead by another" in said or "this worker was declared dead" in said

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def family(self) -> list[psutil.Process]:
        """Return all its processes, the supervisor first."""
        try:
            return [self.supervisor, *self.supervisor.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def template(self) -> int:
        """Return the process which imported the app and forks."""
        (found,) = (
            p for p in self.family() if "taskmesh.cli.template" in p.cmdline() and p.ppid() == self.pid
        )
        return found.pid

    def signal_all(self, number: int) -> None:
        """Send a signal to each of its processes, the supervisor last."""
        for process in reversed(self.family()):
            process.send_signal(number)

    def exit_code(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait until the supervisor has ended, and return its exit code."""
        return self.process.wait(timeout_s)

    def end(self) -> None:
        """Kill what is left of it, and wait for that."""
        family = self.family()
        for process in family:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait(90)
        wait_until(lambda: all(is_gone(process.pid) for process in family), what=f"{self.name} is gone")


class Scene:
    """What one test plays with."""

    def __init__(self, mesh: str, url: str, folder: Path, *, direct: str = "", **settings: Any) -> None:
        """Make one.

        Args:
            mesh: Its name.
            url: The node, or the proxy in front of it; empty for the shared embedded node.
            folder: For notes, logs and books.
            direct: The node itself, where `url` is a proxy.
            settings: Of the mesh, for workers and callers.
        """
        self.name = mesh
        self.url = url
        self._direct = direct
        self.folder = folder
        self.settings = {"lease_ttl": 1.0, "grace": 30.0, "key": KEY, **settings}
        if url:
            self.settings["nodes"] = url
        self.mesh = worker_tasks.register(TaskMesh(mesh, **self.caller_settings()))
        limited_tasks.register(self.mesh)
        self.workers: list[Worker] = []
        self.accepted: dict[str, tuple[AsyncResult[Any], Any]] = {}
        self.seen: dict[str, bytes] = {}
        self.prefix = f"tm:{mesh}:"

    # -- the node -----------------------------------------------------------------

    @cached_property
    def node(self) -> Redis:
        """The node, for looking and for doing harm; nothing is retried."""
        return Redis.from_url(
            self._direct or self.mesh.address().url,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            socket_timeout=10,
        )

    def answers(self) -> bool:
        """Tell whether the node does."""
        try:
            return bool(self.ask("PING"))
        except RedisError:
            return False

    def ask(self, *words: str) -> Any:
        """Ask the node, by a connection of its own making: the last one may have died with its server."""
        self.node.connection_pool.disconnect()
        return self.node.execute_command(*words)

    def record(self, task_id: str) -> Record | None:
        raw = self.node.get(f"{self.prefix}r:{task_id}")
        return parse(raw) if raw is not None else None

    def state_of(self, handle: AsyncResult[Any]) -> str:
        found = self.record(handle.id)
        return found.state.value if found is not None else "unknown"

    def states(self) -> dict[str, int]:
        """Return how many of the accepted messages are in which state."""
        records = self.node.mget([f"{self.prefix}r:{task_id}" for task_id in self.accepted])
        return Counter(parse(raw).state.value for raw in records)

    def live_workers(self) -> dict[str, str]:
        """Return name -> incarnation of the workers that count as live."""
        node, found = self.node, {}
        for incarnation in node.smembers(f"{self.prefix}workers"):
            state, info = node.hmget(f"{self.prefix}w:{incarnation.decode()}", "state", "info")
            if state == b"live":
                found[json.loads(info)["name"]] = incarnation.decode()
        return found

    def idle(self, queue: str = "default") -> int:
        count: int = self.node.zcard(f"{self.prefix}idle:{queue}")
        return count

    @cached_property
    def readers(self) -> dict[str, OwnReader | OtherReader]:
        """Two who read results independently of each other."""
        settings = self.caller_settings()
        return {"own": OwnReader(self.name, settings), "other": OtherReader(self.name, settings)}

    def caller_settings(self) -> dict[str, Any]:
        """Return the settings of who sends and reads."""
        return {key: value for key, value in self.settings.items() if key not in WORKERS_ONLY}

    def environ(self) -> dict[str, str]:
        """Return the environment of a process that takes part in the mesh."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith("TASKMESH_")}
        for variable in ("TASKMESH_STATE_DIR", "TASKMESH_SERVER_BINARY"):
            if variable in os.environ:
                environ[variable] = os.environ[variable]
        environ |= {f"TASKMESH_{key.upper()}": str(value) for key, value in self.settings.items()}
        return environ | {"TASKMESH_TEST_MESH": self.name}

    # -- workers ------------------------------------------------------------------

    def worker(
        self,
        concurrency: int = 1,
        *,
        name: str = "",
        burst: bool = False,
        queues: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
        ready: bool = True,
        pools: tuple[str, ...] = (),
        log_fd: int = -1,
        within: Sequence[str] = (),
        **options: Any,
    ) -> Worker:
        """Start a worker; `ready` waits until its children are idle or have taken something.

        One that died under its name a moment ago may still count as live: what is sent then is handed to nobody.

        What it logs goes to `log_fd`, if that is given, and is not known then. `within` are words before its command.
        """
        name = name or f"worker{len(self.workers) + 1}"
        order = WorkerOptions(
            app=options.pop("app", "tests.apps.worker_chaos:mesh"),
            path=options.pop("path", (str(ROOT),)),
            concurrency=0 if pools else concurrency,
            pools=read_pools(pools),
            queues=queues,
            name=name,
            burst=burst,
            log_level=options.pop("log_level", "DEBUG"),
            **options,
        )
        environ = self.environ() | (env or {})
        children = len(seats(settled(order.pools, queues, default_queue="", processes=concurrency)))
        log = self.folder / f"{name}.log"
        before = self._incarnations(name) if ready else set()
        with log.open("ab") as file:
            process = subprocess.Popen(
                [
                    *within,
                    *(
                        sys.executable,
                        "-m",
                        "taskmesh.worker.supervisor",
                        msgspec.json.encode(order).decode(),
                    ),
                ],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file if log_fd < 0 else log_fd,
                env=environ,
                cwd=ROOT,
                start_new_session=True,
            )
        found = Worker(process, log, name)
        self.workers.append(found)
        if ready:
            found.until(
                lambda: process.poll() is not None or self.children_of(name, before) >= children,
                START_S,
                f"{name} is ready",
            )
            assert process.poll() is None, f"{name} ended with {process.returncode}; it said:\n{found.said()}"
        return found

    def children_of(self, name: str, others: Collection[str] = ()) -> int:
        """Return how many children of a live worker have asked for messages; not of these incarnations of it."""
        return max(
            (
                sum(field.startswith(b"s") and len(field) == 7 for field in self.node.hkeys(self._key(each)))
                for each in self._incarnations(name).difference(others)
            ),
            default=0,
        )

    def _incarnations(self, name: str) -> set[str]:
        """Return the incarnations of this name that count as live; usually there is one at most."""
        found = set()
        for each in (raw.decode() for raw in self.node.smembers(f"{self.prefix}workers")):
            state, info = self.node.hmget(self._key(each), "state", "info")
            if state == b"live" and json.loads(info)["name"] == name:
                found.add(each)
        return found

    def _key(self, incarnation: str) -> str:
        return f"{self.prefix}w:{incarnation}"

    # -- what tasks note ----------------------------------------------------------

    def notes(self) -> list[str]:
        """Return what the tasks have noted, in order."""
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def started(self, name: str, times: int = 1) -> int:
        """Wait until `name` was noted so often, and return the pid in the last of these notes."""
        found = wait_until(
            lambda: [line for line in self.notes() if line.split()[0] == name][times - 1 :],
            PATIENCE_S,
            f"{name} was started {times} times; notes: {self.notes()}",
        )
        return int(found[-1].split()[1])

    def let(self, name: str) -> None:
        """Let what holds go on."""
        (self.folder / f"let-{name}").touch()

    # -- the ledger ---------------------------------------------------------------

    def send(self, function: Callable[..., Any], *args: Any, expect: Any, **kwargs: Any) -> AsyncResult[Any]:
        """Send a message and enter it into the ledger with what must come of it."""
        return self.enter(self.task(function).delay(*args, **kwargs), expect)

    def task(self, function: Callable[..., Any]) -> Any:
        return self.mesh.tasks[f"{function.__module__}.{function.__qualname__}"]

    def enter(self, handle: AsyncResult[Any], expect: Any) -> AsyncResult[Any]:
        self.accepted[handle.id] = (handle, expect)
        return handle

    def send_many(
        self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]], expect: Iterable[Any]
    ) -> Any:
        sent = self.task(function).starmap(list(calls))
        for handle, value in zip(sent, expect, strict=True):
            self.enter(handle, value)
        return sent

    def settle(self, timeout_s: float = SETTLED_S) -> None:
        """Wait until every accepted message is final."""
        deadline = time.monotonic() + timeout_s
        for handle, _ in self.accepted.values():
            handle.get(max(LOOK_S, deadline - time.monotonic()), propagate=False)

    def look(self) -> None:
        """Note the outcomes that can be seen now; none that was seen before may differ."""
        ids = list(self.accepted)
        for task_id, raw in zip(ids, self.node.mget([f"{self.prefix}r:{i}" for i in ids]), strict=True):
            assert raw is not None, f"{task_id} was accepted and is unknown"
            found = parse(raw)
            if found.state in FINAL:
                before = self.seen.setdefault(task_id, found.outcome)
                assert before == found.outcome, f"the outcome of {task_id} changed"
            else:
                assert task_id not in self.seen, f"{task_id} was final and is {found.state}"

    def check(self, timeout_s: float = SETTLED_S) -> None:
        """Demand that the ledger holds: all final, each once, values right, nothing left in an index."""
        self.settle(timeout_s)
        self.look()
        missing = set(self.accepted) - set(self.seen)
        assert not missing, f"not final: {missing}"
        for task_id, (handle, expect) in self.accepted.items():
            got = handle.get(0, propagate=False)
            if isinstance(expect, type):
                assert isinstance(got, expect), f"{task_id}: {got!r} is no {expect.__name__}"
            else:
                assert got == expect, f"{task_id}: {got!r} instead of {expect!r}"
        node = self.node
        finals = {LETTER[state].decode() for state in FINAL}
        counted = sum(
            int(count)
            for name, count in node.hgetall(f"{self.prefix}stats").items()
            if name.decode().rpartition(":")[2] in finals
        )
        assert counted == len(self.accepted), f"{counted} ends of {len(self.accepted)} messages"
        # a claim is let go of with the child's next turn, a parked message with the next look at those
        wait_until(lambda: not self.left(), what=f"nothing is left in the indexes: {self.left()}")

    def left(self) -> list[str]:
        """Return the indexes that hold something: none should once everything is final."""
        kinds = ("q:*", "L:*", "run:*", "d", "parked")
        return [key.decode() for kind in kinds for key in self.node.keys(f"{self.prefix}{kind}")]

    def crashes(self, handle: AsyncResult[Any]) -> int:
        found = self.record(handle.id)
        assert found is not None
        return found.crashes

    def reason(self, handle: AsyncResult[Any]) -> str:
        """Return why a message is a dead letter."""
        got: Any = handle.get(PATIENCE_S, propagate=False)
        assert isinstance(got, TaskDead), got
        return got.reason

    # -- the end ------------------------------------------------------------------

    def close(self) -> None:
        """Kill every process of this scene, and close the connections."""
        for worker in self.workers:
            worker.end()
        self.mesh.close()
        for reader in self.readers.values() if "readers" in self.__dict__ else ():
            reader.close()
        if "node" in self.__dict__:
            self.node.close()


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended (a zombie has)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kill(pid: int) -> None:
    """Kill a process of a worker of this scene."""
    os.kill(pid, signal.SIGKILL)
