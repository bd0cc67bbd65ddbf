"""A child: claims messages, runs them, commits how they ended.

One round trip per claim: the commit of the last one travels with it. The lease is the supervisor's
heartbeat, so a task may hold the interpreter for as long as it likes.
"""

from __future__ import annotations

import contextvars
import logging
import os
import signal
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any, TypeVar

from taskmesh.core import keys
from taskmesh.core.steps import Call, NoAnswer, NodeError, Refused, Steps
from taskmesh.errors import Malformed, NodeFault, NodeUnavailable, TaskMeshError
from taskmesh.queue.claim import Claimed, Claims, handed_off, held, recall
from taskmesh.queue.commit import COMMIT_MAX, REFUSED, commit
from taskmesh.queue.turn import turn
from taskmesh.replication.ask import plain
from taskmesh.worker.host import App
from taskmesh.worker.options import (
    EXIT_BURST_DONE,
    EXIT_CANNOT_START,
    EXIT_DECLARED_DEAD,
    EXIT_OK,
    ChildOrder,
)
from taskmesh.worker.outbox import Outbox
from taskmesh.worker.pace import CLAIM_MAX, Pace
from taskmesh.worker.page import NOTHING, Page
from taskmesh.worker.patience import run_patiently, text_of
from taskmesh.worker.runner import Runner

T = TypeVar("T")
log = logging.getLogger("taskmesh.worker")

#: An idle child looks by itself so often, in case a wake-up was lost.
LOOK_S = 1.0
#: And so often at most, while it waits for a delayed message: a timeout of 0 would be for ever.
LOOK_S_MIN = 0.002
#: How often a child compares what it holds with what the node says.
COMPARE_S = 10.0
#: One try at the node; a child goes on trying until it is told to stop.
PATIENCE_S = 5.0


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
        self._build = build
        self._dead_expires_s = int(mesh.settings.dead_letter_expires)
        self._desk = page.desk(order.place)
        self._link = mesh.link.open()
        self._session = self._link.session
        self._wake_key = keys.wake(self._link.prefix, self.holder)
        self._queues = [queue.encode() for queue in order.queues]
        self._pace = Pace(claim_max)
        self._outbox = Outbox(self._commit)
        self._loop: Any = None
        settings = mesh.settings
        self._runner = Runner(
            mesh.tasks,
            messages=self._link.messages,
            results=self._link.results,
            functions=self._link.functions,
            fetch_function=self._fetch_function,
            now_ms=self._link.clock.now_ms,
            worker=order.worker,
            max_message_size=settings.max_message_size,
            max_result_size=settings.max_result_size,
            allow_tasks=settings.allow_tasks,
            allow_by_value=settings.allow_by_value,
            unknown_task_grace_s=settings.unknown_task_grace,
            run_coroutine=self._run_coroutine,
            before_start=self._before_start,
            after_end=self._pace.note,
        )
        self.stopping = False
        self._sequence = 0
        self._done: list[tuple[int, bytes]] = []
        self._idle = False
        self._next_due_ms = 0
        self._compare_at = time.monotonic() + COMPARE_S
        self._epoch = self._session.epoch

    def serve_also(self, queue: str) -> None:
        """Claim from another queue, too, from the next claim on."""
        self._queues = [*self._queues, queue.encode()]

    def run(self) -> int:
        """Claim and run until told to stop, and return the exit code."""
        try:
            while True:
                batch: list[Claimed] = self._turn()
                if self._is_stopping():
                    if batch:
                        self._give_back_claim()
                    return EXIT_OK
                if not batch:
                    if self.order.burst:
                        return EXIT_BURST_DONE
                    batch = self._sleep()
                if batch:
                    self._run_claim(batch)
        except NodeFault as error:
            if not text_of(error).startswith("DEADWORKER"):
                raise
            log.warning("this worker was declared dead (%s); its messages run elsewhere", error)
            return EXIT_DECLARED_DEAD
        finally:
            self._outbox.close()
            if self._loop is not None:
                self._loop.close()

    # -- a claim ------------------------------------------------------------------

    def _is_stopping(self) -> bool:
        # a method, since a signal may set the flag between any two looks at it
        return self.stopping

    def _turn(self) -> Claims:
        """Commit what is finished and claim more, unless the child stops."""
        if self._session.epoch != self._epoch:
            # the node was started anew, perhaps with an older disk, which may say that this child holds something
            self._epoch = self._session.epoch
            self._outbox.flush()
            self._compare()
        entries = self._outbox.take()
        done, self._done = self._done, []
        while True:
            try:
                if self.stopping:
                    if entries or done:
                        verdicts = self._ask(
                            commit(
                                self._session,
                                self.holder,
                                self._build,
                                done,
                                entries,
                                dead_expires_s=self._dead_expires_s,
                                patience_s=PATIENCE_S,
                            )
                        )
                        self._judge(entries, verdicts)
                    return Claims()
                verdicts, claimed = self._ask(
                    turn(
                        self._session,
                        self.holder,
                        self._build,
                        done,
                        entries,
                        self._sequence + 1,
                        self._pace.most(),
                        self._queues_in_turn(),
                        idle=self._idle,
                        dead_expires_s=self._dead_expires_s,
                        patience_s=PATIENCE_S,
                    )
                )
            except NodeUnavailable as error:
                # both halves may be repeated as they are
                log.warning("%s; trying again", error)
                continue
            except NodeFault as error:
                if entries:
                    self._commit(entries)  # again, to tell which were refused: the claim's error hid that
                if text_of(error) != f"OLDSEQUENCE {self._sequence + 2:08x}":
                    raise
                # its answer was lost: it found nothing, and since then a message was handed over
                self._sequence += 1
                self._idle = True
                return Claims()
            self._sequence += 1
            self._idle = not claimed
            self._next_due_ms = claimed.next_due_ms
            self._judge(entries, verdicts)
            return claimed

    def _queues_in_turn(self) -> Sequence[bytes]:
        """Return the queues, each first in its turn, so that a full one does not starve the others."""
        queues = self._queues
        if len(queues) == 1:
            return queues
        at = self._sequence % len(queues)
        return queues[at:] + queues[:at]

    def _run_claim(self, batch: list[Claimed]) -> None:
        """Run the messages of one claim, as far as they are not recalled."""
        desk, runner, outbox, sequence = self._desk, self._runner, self._outbox, self._sequence
        total = len(batch)
        self._pace.claimed(total, sum(len(claimed.record) for claimed in batch))
        begun_s = now_s = time.monotonic()
        ran = 0
        for position in range(1, total + 1):
            desk.note(sequence, position, total, now_s)
            if desk.recalled() == sequence or self.stopping:
                # what waits goes back; the supervisor does the same, and either may come first
                desk.note(sequence, NOTHING, total, now_s)
                self._give_back(position - 1)
                break
            claimed = batch[position - 1]
            letter, outcome = runner.run(
                claimed.task_id.decode(errors="backslashreplace"), claimed.token.decode(), claimed.record
            )
            now_s = time.monotonic()
            outbox.add(claimed.task_id, claimed.token, letter, outcome, now_s)
            ran += 1
            if len(outbox) >= COMMIT_MAX or (outbox.is_late(now_s) and position < total):
                outbox.flush()
        desk.note(sequence, NOTHING, 0, now_s)
        if ran:
            self._pace.ran(ran, now_s - begun_s)
        self._done.append((sequence, batch[0].epoch))

    def _give_back_claim(self) -> None:
        """Give back what was claimed in the very moment of stopping."""
        self._give_back(0)

    def _give_back(self, position: int) -> None:
        self._pace.slow()
        while True:
            try:
                self._ask(recall(self._session, self.holder, self._sequence, position, patience_s=PATIENCE_S))
            except NodeUnavailable as error:
                # the claim may not be called done before, or nobody would hold what it still has
                log.warning("what waits behind a slow task cannot be given back yet: %s", error)
                continue
            return

    def _before_start(self, task: str) -> None:
        """Let finished outcomes leave before a task starts that may take long."""
        if len(self._outbox) and not self._pace.is_tiny(task):
            self._outbox.flush()

    def _commit(self, entries: list[bytes]) -> None:
        while True:
            try:
                verdicts = self._ask(
                    commit(
                        self._session,
                        self.holder,
                        self._build,
                        (),
                        entries,
                        dead_expires_s=self._dead_expires_s,
                        patience_s=PATIENCE_S,
                    )
                )
            except NodeUnavailable as error:
                log.warning("%s; trying again", error)
                continue
            self._judge(entries, verdicts)
            return

    def _judge(self, entries: Sequence[bytes], verdicts: bytes) -> None:
        if REFUSED not in verdicts:
            return
        for at, verdict in enumerate(verdicts):
            if verdict == REFUSED:
                log.warning(
                    "the outcome of task %s was refused: its lease had been lost, and it runs or ran elsewhere",
                    entries[4 * at].decode(),
                )

    # -- idle ---------------------------------------------------------------------

    def _sleep(self) -> list[Claimed]:
        """Wait until woken, a second at most, and return what came with the wake-up."""
        now_s = time.monotonic()
        if now_s >= self._compare_at:
            self._compare_at = now_s + COMPARE_S
            self._compare()
        reply = self._link.driver.run(_block(self._link.prefix, self._wake_key, self._patience_s()))
        if isinstance(reply, (Refused, NoAnswer, NodeError)):
            log.debug("cannot wait for a wake-up: %s", reply)
            time.sleep(0.05)
            return []
        handed = handed_off(reply[1]) if reply is not None else None
        if handed is None or handed[0] != self._sequence + 1:
            return []  # an older one, whose message came with a claim
        self._sequence += 1
        return [handed[1]]

    def _patience_s(self) -> float:
        """Return how long to wait for a wake-up: nobody wakes a child for a message whose time has come."""
        if not self._next_due_ms:
            return LOOK_S
        return min(LOOK_S, max(LOOK_S_MIN, (self._next_due_ms - self._link.clock.now_ms()) / 1000))

    def _compare(self) -> None:
        """Give back what the node says this child holds: between claims it holds nothing."""
        try:
            sequences = {found[0] for found in self._ask(held(self._session, self.holder))}
            # what is on its way with a wake-up is not lost
            for sequence in sequences - {self._sequence + 1}:
                log.warning("claim %d was never heard of here; its messages are given back", sequence)
                self._ask(recall(self._session, self.holder, sequence, 0))
        except NodeUnavailable as error:
            log.debug("%s", error)

    # -- small things -------------------------------------------------------------

    def _fetch_function(self, content_hash: str) -> bytes | None:
        while True:
            try:
                found: bytes | None = self._ask(
                    plain(self._session, b"GET", keys.function(self._link.prefix, content_hash))
                )
            except NodeUnavailable as error:
                log.warning("%s; trying again", error)
                time.sleep(0.1)
                continue
            except NodeFault as error:
                raise Malformed(f"the function {content_hash} cannot be read: {error}") from error
            return found

    def _ask(self, steps: Steps[T]) -> T:
        return run_patiently(self._link, steps)

    def _run_coroutine(self, coroutine: Any) -> Any:
        if self._loop is None:
            import asyncio

            self._loop = asyncio.Runner()
        # a context of its own for each task: the runner's is the one in which it first ran
        return self._loop.run(coroutine, context=contextvars.copy_context())


def _block(prefix: bytes, key: bytes, seconds: float) -> Steps[Any]:
    (reply,) = yield [Call(None, prefix, (b"BLPOP", key, b"%g" % seconds), patience_s=seconds)]
    return reply


def child_main(mesh: App, order: ChildOrder, build: bytes, page_fd: int) -> int:
    """Live a child's life in this process, and return its exit code."""
    child: list[Child] = []

    def stop(_signum: int, _frame: FrameType | None) -> None:
        for alive in child:
            alive.stopping = True
        if not child:
            os._exit(EXIT_OK)

    signal.signal(signal.SIGTERM, stop)
    # Ctrl-C reaches the whole terminal group; the supervisor decides
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # the template had it wait until it can be heeded
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    page = Page(page_fd)
    while not child:
        try:
            child.append(Child(mesh, order, build, page))
        except NodeUnavailable as error:
            log.warning("a child of worker %s waits for the node: %s", order.worker, error)
        except TaskMeshError as error:
            log.error("a child of worker %s cannot start: %s", order.worker, error)  # noqa: TRY400 - said plainly
            return EXIT_CANNOT_START
    return child[0].run()
