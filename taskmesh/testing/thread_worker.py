"""A worker inside the test process: children that are threads, with a heartbeat beside them.

It runs the very functions that are registered with the mesh, so what a test patches is patched in the task, a
breakpoint stops, and coverage counts. All else is as in a real worker: claims, leases, signatures, commits.
What is missing is what processes give: a task that ends its process ends the tests, and no crash is counted.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from taskmesh.core import keys
from taskmesh.core.hooks import WorkerContext
from taskmesh.errors import NodeUnavailable, UsageError, WorkerError
from taskmesh.queue.workers import Serves
from taskmesh.replication.ask import plain
from taskmesh.worker.about import worker_info
from taskmesh.worker.child import Child
from taskmesh.worker.every_node import wake_children
from taskmesh.worker.hearing import Hearing
from taskmesh.worker.mesh_presence import make_presence
from taskmesh.worker.options import EXIT_OK, ChildOrder
from taskmesh.worker.orders import SHUTDOWN
from taskmesh.worker.page import Page, make_page
from taskmesh.worker.patience import run_patiently
from taskmesh.worker.presence import DeclaredDead
from taskmesh.worker.report import Place, Reporter
from taskmesh.worker.template import asyncio_run, build_of

if TYPE_CHECKING:
    from taskmesh.app import TaskMesh
    from taskmesh.client.result_set import ResultSet
    from taskmesh.codec.control import Control

log = logging.getLogger("taskmesh.worker")

#: How long a task that still runs may keep the end of a test.
STOP_S = 30.0
#: How often to look for queues that are new.
LOOK_S = 0.05


class ThreadWorker:
    """Runs the tasks of a mesh in threads of this process. Also a context manager."""

    def __init__(self, mesh: TaskMesh, *, queues: tuple[str, ...] = (), name: str = "") -> None:
        """Prepare; `start` or `with` starts it.

        Args:
            mesh: Its tasks are looked up when a message arrives: they may be registered later.
            queues: Which queues it serves; all that come to hold a message if none is given.
            name: Name of the worker.
        """
        self._mesh = mesh
        self._queues = queues
        self._name = name or f"test-worker-{os.getpid()}"
        self._life: _Life | None = None
        self._fired_until_ms = int(time.time() * 1000)

    @property
    def is_running(self) -> bool:
        """Whether it has been started and not stopped since."""
        return self._life is not None

    def start(self, concurrency: int = 1) -> Self:
        """Start it, unless it runs; it may be started again after `stop`.

        Args:
            concurrency: How many tasks run at once. One at a time is what a child process does: with more,
                code that is not made for threads may misbehave as it never would in a worker. A task that
                waits for another one needs two.

        Raises:
            UsageError: The mesh is eager: its tasks have run when `delay()` returns.
        """
        self._refuse_eager()
        if self._life is None:
            self._life = _Life(self._mesh, self._queues, self._name, concurrency)
        return self

    def stop(self, timeout_s: float = STOP_S) -> None:
        """Let what runs finish, and stop; what waits goes on waiting. Harmless when it does not run.

        Args:
            timeout_s: How long what runs may take.

        Raises:
            WorkerError: A task still runs; its thread cannot be ended. Or a child ended by an error.
        """
        life, self._life = self._life, None
        if life is not None:
            life.end(timeout_s)

    def fire_due(
        self, at: datetime | float | None = None, *, after: datetime | float | None = None
    ) -> ResultSet[Any]:
        """Send now what the mesh's schedules call up to a moment, in the past or to come; nothing waits for it.

        No schedule fires by itself while this worker runs: the test says when. Schedules in the app's code count, and
        those that were made at run time; those that are paused do not. Each firing comes once, under the id
        `<schedule>@<moment>`. Neither `misfire` nor `overlap` leaves one out, and `jitter` delays none.

        Args:
            at: Up to which moment, and with it: a datetime with its zone, or Unix time; now if not given.
            after: After which moment; the last one that was fired up to if not given, at first the one at which this
                worker was made.

        Returns:
            Handles on what was sent, in the order of the moments.

        Raises:
            UsageError: The mesh is eager, a moment has no zone, or thousands of firings are due.
        """
        from taskmesh.scheduler.zones import moment_ms
        from taskmesh.testing.firing import fire

        self._refuse_eager()
        until_ms = int(time.time() * 1000) if at is None else moment_ms("at", at)
        after_ms = self._fired_until_ms if after is None else moment_ms("after", after)
        fired = fire(self._mesh, after_ms, until_ms)
        self._fired_until_ms = until_ms
        return fired

    def _refuse_eager(self) -> None:
        if self._mesh.eager:
            raise UsageError(
                "an eager mesh runs its tasks in the caller: there is nothing for a worker to do"
            )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


class _Life:
    """One start of the worker, until its stop."""

    def __init__(self, mesh: TaskMesh, queues: tuple[str, ...], name: str, concurrency: int) -> None:
        link = mesh.link.open()
        settings = mesh.settings
        build = build_of(mesh)
        self._mesh = mesh
        self._link = link
        self._serves_all = not queues
        self._queues = queues or (settings.default_queue,)
        self._name = name
        self._concurrency = concurrency
        self._build = build.decode()
        # one that serves all queues finds more of them, and an app may still get tasks
        self._served = list(self._queues)
        self._presence = make_presence(
            link,
            name,
            Serves(self._build, self._served, mesh.tasks),
            lease_ttl_s=settings.lease_ttl,
            max_crashes=settings.max_crashes,
            dead_expires_s=int(settings.dead_letter_expires),
        )
        self._context = WorkerContext(name, self._queues)
        mesh.hooks.start("on_worker_start", self._context, asyncio_run)
        self._hearing = Hearing(settings.broker or "", link.mesh, name)
        self._reporter = Reporter(
            link,
            self._presence.incarnation,
            pool="threads of a test",
            beat_s=self._presence.beat_s,
            processes=[os.getpid()],
            now_s=time.monotonic(),
            broker=self._hearing.report,
        )
        page_fd = make_page(concurrency)
        try:
            self._page = Page(page_fd)
        finally:
            os.close(page_fd)
        self.size = concurrency
        self._hearing.check(self._queues, burst=False)
        by_ticket = keys.BY_TICKET if self._hearing.is_on else 0
        self._places = [Place(at + 1 + by_ticket, 0, at) for at in range(concurrency)]
        self._register()
        self._failures: list[BaseException] = []
        self._ending = threading.Event()
        self._children = [self._child(mesh, build, self._page, place) for place in self._places]
        self._threads = [
            threading.Thread(target=self._live, args=(child,), name=f"{name}-{at}", daemon=True)
            for at, child in enumerate(self._children)
        ]
        self._heart = threading.Thread(target=self._beat, name=f"{name}-heart", daemon=True)
        for thread in (*self._threads, self._heart):
            thread.start()
        self._hear()

    def _hear(self) -> None:
        self._hearing.begin(self._link, self._presence.incarnation, self._queues, self)

    def count_waiting(self) -> int:
        """Return how many children wait for a ticket."""
        return sum(self._page.waits(place.place) for place in self._places)

    def _register(self) -> None:
        mesh = self._mesh
        self._presence.register(
            worker_info(
                self._name,
                mesh.app_path,
                "",
                self._queues,
                self._concurrency,
                self._build,
                tasks=sorted(mesh.tasks),
                strategy=mesh.settings.strategy,
            ),
            self._report(),
        )

    def _report(self) -> bytes:
        return self._reporter.report(self._page, self._places, time.monotonic())

    def _child(self, mesh: TaskMesh, build: bytes, page: Page, place: Place) -> Child:
        page.clear(place.place)
        order = ChildOrder(
            incarnation=self._presence.incarnation.decode(),
            number=place.number,
            place=place.place,
            worker=self._name,
            queues=self._queues,
            burst=False,
            strategy=mesh.settings.strategy,
            soft_time_limit_s=mesh.settings.soft_time_limit,
            time_limit_s=mesh.settings.time_limit,
        )
        # one at a time: there is no supervisor who would recall what waits behind a slow one
        return Child(mesh, order, build, page, claim_max=1)

    def _live(self, child: Child) -> None:
        try:
            code = child.run()
            if code != EXIT_OK:
                raise WorkerError(
                    f"a child of {self._name} ended with code {code}; the reason stands in the log"
                )
        except BaseException as error:  # noqa: BLE001 - the edge of the thread: `end` raises it again
            self._failures.append(error)

    def _beat(self) -> None:
        beat_at_s = time.monotonic() + self._presence.beat_s
        while not self._ending.wait(LOOK_S):
            try:
                if self._serves_all:
                    self._look_for_queues()
                if time.monotonic() >= beat_at_s:
                    beat_at_s = time.monotonic() + self._presence.beat_s
                    self._presence.beat({child.holder for child in self._children}, self._report())
                    self._heed(self._presence.orders())
            except NodeUnavailable as error:
                self._presence.missed()
                log.warning("%s", error)
            except DeclaredDead as error:
                self._failures.append(error)
                return

    def _heed(self, orders: list[Control]) -> None:
        for order in orders:
            if order.action == SHUTDOWN:
                self._stop_children()
            else:
                log.warning("%s cannot %s: a thread cannot be ended", self._name, order.action)

    def _look_for_queues(self) -> None:
        """Serve also the queues that have come to hold messages since."""
        link = self._link
        found = run_patiently(link, plain(link.session, b"SMEMBERS", keys.queues(link.prefix)))
        new = [name for raw in found if (name := raw.decode()) not in self._queues]
        for name in new:
            self._queues = (*self._queues, name)
            self._served.append(name)
            for child in self._children:
                child.serve_also(name)
        if new:
            self._register()
            self._hear()
            self._wake_children()

    def _stop_children(self) -> None:
        for child in self._children:
            child.stop()
        self._wake_children()

    def _wake_children(self) -> None:
        wake_children(self._link, [child.holder for child in self._children])

    def end(self, timeout_s: float) -> None:
        """End the children and sign off.

        Raises:
            WorkerError: One does not end, or ended by an error.
        """
        deadline_s = time.monotonic() + timeout_s
        try:
            self._hearing.stop()
            self._stop_children()
            for thread in self._threads:
                thread.join(max(0.0, deadline_s - time.monotonic()))
            running = sum(thread.is_alive() for thread in self._threads)
            if running:
                raise WorkerError(
                    f"{running} of the tasks that {self._name} runs did not end within {timeout_s:g} s; a thread "
                    "cannot be killed, so let tasks of tests come to an end"
                )
            self._stop_heart()  # a beat after the sign-off would be that of a worker that is not known
            queues = [queue.encode() for queue in self._queues]
            for child in self._children:
                # what was handed to it while it ended
                last = self._page.read(child.order.place)
                self._presence.undertaker.child_died(child.holder, queues, None, "", last=last)
            self._presence.leave()
            self._mesh.hooks.tell("on_worker_stop", asyncio_run, self._context)
        finally:
            self._stop_heart()
            self._hearing.close()
        if self._failures:
            raise WorkerError(f"a child of {self._name} ended by an error") from self._failures[0]

    def _stop_heart(self) -> None:
        self._ending.set()
        self._heart.join()
