"""A child: claims messages, runs them, commits how they ended.

One round trip per claim: the commit of the last one travels with it. The lease is the supervisor's
heartbeat, so a task may hold the interpreter for as long as it likes.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from types import FrameType
from typing import TYPE_CHECKING

from taskmesh.core.context import CURRENT, Terminated
from taskmesh.core.logs import name_worker
from taskmesh.core.waiting import note_one_at_a_time
from taskmesh.errors import NodeFault, TaskMeshError
from taskmesh.nodes.known_members import remember
from taskmesh.queue.claim import Claimed
from taskmesh.queue.commit import COMMIT_MAX
from taskmesh.worker.converse import converse
from taskmesh.worker.early import let_again
from taskmesh.worker.end_of_child import read_death
from taskmesh.worker.host import App
from taskmesh.worker.lifetime import Lifetime
from taskmesh.worker.limits import Guard, wait_for_the_end
from taskmesh.worker.make_runner import make_runner
from taskmesh.worker.options import (
    EXIT_BURST_DONE,
    EXIT_CANNOT_START,
    EXIT_DECLARED_DEAD,
    EXIT_OK,
    ChildOrder,
)
from taskmesh.worker.own_loop import close_loop_of_this_thread, run_in_this_thread
from taskmesh.worker.pace import CLAIM_MAX, Pace
from taskmesh.worker.page import NOTHING, Page, counting, name_of
from taskmesh.worker.patience import begin_patiently, text_of
from taskmesh.worker.pools import PROCESS
from taskmesh.worker.task_log import tell_of_tasks
from taskmesh.worker.ticket_sleep import sleep_of

if TYPE_CHECKING:
    from taskmesh.worker.concurrent_child import ConcurrentChild

log = logging.getLogger("taskmesh.worker")


class Child:
    """One child's life."""

    def __init__(
        self, mesh: App, order: ChildOrder, build: bytes, page: Page, *, claim_max: int = CLAIM_MAX
    ) -> None:
        """Prepare; `run` does the rest.

        Args:
            mesh: The app.
            order: What to do.
            build: What this build can run.
            page: Shared with the supervisor.
            claim_max: How many messages to claim at once at most.
        """
        self.order = order
        self.holder = order.holder
        self._desk = page.desk(order.place)
        self._tasks = mesh.tasks
        self._hooks = mesh.hooks
        self._sheet = page.sheet(order.sheet_at) if order.sheet_at else None
        self._talk = converse(mesh, order, build, count=counting(self._desk, self._sheet))
        self._sleep = sleep_of(order, self._desk, self._talk)
        self._outbox = self._talk.outbox
        self._pace = Pace(claim_max)
        self._lifetime = Lifetime(order, self._talk, mesh.hooks, run_in_this_thread)
        self._runner = make_runner(
            mesh,
            self._talk,
            order,
            before_start=self._before_start,
            after_end=self._pace.note,
            guard=Guard(self._desk),
            sheet=self._sheet,
        )

    def has_process(self) -> None:
        """Say that this process is the child's own, to be ended where it can do nothing more."""
        self._talk.end_without_files(self._desk.blame_nobody)

    def stop(self) -> None:
        """End as soon as what runs has finished. May be said at any time, by any thread and by a signal."""
        self._talk.stopping = True

    def heed_signal(self) -> None:
        """Stop after what runs; raise in what runs, if that is to be ended.

        Raises:
            Terminated: In a task that is to be ended.
        """
        self._talk.interrupt()
        if CURRENT.get() is not None and self._desk.condemned() == self._talk.sequence:
            raise Terminated

    def serve_also(self, queue: str) -> None:
        """Claim from another queue, too, from the next claim on."""
        note_one_at_a_time((queue,))
        self._talk.serve_also(queue)

    def run(self) -> int:
        """Claim and run until told to stop, and return the exit code."""
        note_one_at_a_time(self.order.queues)
        try:
            if not self._lifetime.begin():
                return self._lifetime.exit_code
            self._tell_of_death()
            if self._sheet is not None:
                self._sheet.lives(self._tasks)
            try:
                return self._live()
            finally:
                self._lifetime.end()
        finally:
            self._outbox.close()
            self._talk.events.finish()
            close_loop_of_this_thread()

    def _tell_of_death(self) -> None:
        """Tell of a run in which the child before this one died."""
        left = self._desk.take_will()
        if left is not None:
            will, death = left
            self._hooks.tell_heirs(will, read_death(death))

    def _live(self) -> int:
        try:
            while True:
                self._lifetime.heed_growth()
                batch: list[Claimed] = self._talk.turn(self._lifetime.most(self._pace.most()))
                if self._talk.stopping:
                    if batch:
                        self._talk.give_back()  # claimed in the very moment of stopping
                    return self._lifetime.exit_code
                if not batch:
                    if self.order.burst and not self._talk.is_due_soon():
                        return EXIT_BURST_DONE
                    batch = self._sleep()
                if batch:
                    self._run_claim(batch)
        except Terminated:
            # its supervisor says how the message ends; what was finished before counts
            self._outbox.finish()
            return EXIT_OK
        except NodeFault as error:
            if not text_of(error).startswith("DEADWORKER"):
                raise
            log.warning("this worker was declared dead (%s); its messages run elsewhere", error)
            return EXIT_DECLARED_DEAD

    # -- a claim ------------------------------------------------------------------

    def _run_claim(self, batch: list[Claimed]) -> None:
        """Run the messages of one claim, as far as they are not recalled."""
        talk, desk, runner, outbox = self._talk, self._desk, self._runner, self._outbox
        sequence = talk.sequence
        total = len(batch)
        self._pace.claimed(total, sum(len(claimed.record) for claimed in batch))
        if self._sheet is not None:
            self._sheet.claimed(total)
        begun_s = now_s = time.monotonic()
        ran = 0
        for position in range(1, total + 1):
            claimed = batch[position - 1]
            desk.note(sequence, position, total, now_s, name_of(claimed.task_id))
            if desk.recalled() == sequence or talk.stopping:
                # what waits goes back; the supervisor does the same, and either may come first
                desk.note(sequence, NOTHING, total, now_s)
                self._pace.slow()
                talk.give_back(position - 1)
                break
            letter, outcome = runner.run(
                claimed.task_id.decode(errors="backslashreplace"), claimed.token.decode(), claimed.record
            )
            now_s = time.monotonic()
            outbox.add(claimed.task_id, claimed.token, letter, outcome, now_s)
            ran += 1
            if len(outbox) >= COMMIT_MAX or (outbox.is_late(now_s) and position < total):
                outbox.flush()
        desk.note(sequence, NOTHING, 0, now_s)
        if self._sheet is not None:
            self._sheet.flush()
        if ran < total:
            talk.not_begun(batch[ran:])
        if ran:
            self._pace.ran(ran, now_s - begun_s)
            self._lifetime.ran(ran, now_s)
        if desk.condemned() == sequence:
            wait_for_the_end(desk, sequence)
        outbox.close_claim(sequence, batch[0].epoch)

    def _before_start(self, task: str) -> None:
        """Let finished outcomes leave before a task starts that may take long."""
        if len(self._outbox) and not self._pace.is_tiny(task):
            self._outbox.flush()


def child_class(pool: str) -> type[Child | ConcurrentChild]:
    """Return what a child of a kind of pool is."""
    if pool == PROCESS:
        return Child
    # it needs asyncio, which others are spared
    from taskmesh.worker.concurrent_child import ConcurrentChild

    return ConcurrentChild


def child_main(mesh: App, order: ChildOrder, build: bytes, page_fd: int) -> int:
    """Live a child's life in this process, and return its exit code."""
    name_worker(order.worker)
    tell_of_tasks(mesh.hooks)
    child: list[Child | ConcurrentChild] = []
    kind = child_class(order.pool)

    def stop(_signum: int, _frame: FrameType | None) -> None:
        for alive in child:
            alive.heed_signal()
        if not child:
            os._exit(EXIT_OK)

    signal.signal(signal.SIGTERM, stop)
    # Ctrl-C reaches the whole terminal group; the supervisor decides
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    mesh.hooks.let_ctrl_c_through = False
    remember(mesh.link.prefix, order.members)
    # the template had SIGTERM wait until it can be heeded
    let_again()
    page = Page(page_fd)
    who = f"a child of worker {order.worker}"
    try:
        child.append(begin_patiently(lambda: kind(mesh, order, build, page), who))
    except TaskMeshError as error:
        log.error("%s cannot start: %s", who, error)  # noqa: TRY400 - said plainly
        return EXIT_CANNOT_START
    child[0].has_process()
    try:
        return child[0].run()
    finally:
        mesh.finish_announcing()
