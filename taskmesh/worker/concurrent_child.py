"""A child that runs many messages at once: in threads, or as coroutines on one event loop.

One thread, the process's first, speaks with the node: it claims as many messages as there is room for, so nothing
waits behind a slow task, and hands them to a crew, which runs them. Outcomes go into the outbox, whose thread commits
them. The page can name only one message, so a death in company is nobody's: all are flagged, and a flagged message,
a suspect, is run alone, for a while at least.
"""

from __future__ import annotations

import logging
import time

from taskmesh.core.record import CLAIM_SINGLY
from taskmesh.errors import NodeFault
from taskmesh.queue.claim import Claimed
from taskmesh.worker.called_off import CallOffs
from taskmesh.worker.converse import converse
from taskmesh.worker.crew import Crew, OnEnd
from taskmesh.worker.host import App
from taskmesh.worker.in_flight import InFlight
from taskmesh.worker.lifetime import Lifetime
from taskmesh.worker.limits import SharedGuard
from taskmesh.worker.make_runner import make_runner
from taskmesh.worker.options import EXIT_BURST_DONE, EXIT_DECLARED_DEAD, ChildOrder
from taskmesh.worker.page import Page, Slip, counting
from taskmesh.worker.patience import text_of
from taskmesh.worker.pools import ASYNC
from taskmesh.worker.runner import Runner
from taskmesh.worker.thread_crew import ThreadCrew
from taskmesh.worker.ticket_sleep import sleep_of

log = logging.getLogger("taskmesh.worker")

#: Messages in one claim: the node does nothing else meanwhile.
CLAIM_MAX = 500
#: And so many bytes, by the mean of what was claimed before.
CLAIM_BYTES = 4 << 20
#: How long a suspect waits for the others to end, and how long it then runs alone. Whoever kills its process does so
#: sooner as a rule; and tasks that wait for one another must not wait for ever.
ALONE_S = 10.0
#: A signal is heeded at the latest so long after it came.
HEED_S = 0.05
#: While it is full, a child waits so long for more room than one: fewer claims, each of more messages.
GATHER_S = 0.001
#: A run that is called off has so long to end.
CALLED_OFF_GRACE_S = 2.0
#: Slips that are kept for what has not come here yet: as a rule there is none, and most of them have come and gone.
EARLY_MAX = 1000
FLAGGED = frozenset(b"%x" % flags for flags in range(16) if flags & CLAIM_SINGLY)


def make_crew(
    kind: str, runner: Runner, slots: int, on_end: OnEnd, guard: SharedGuard, call_offs: CallOffs
) -> Crew:
    """Return the crew of a kind of pool."""
    if kind == ASYNC:
        from taskmesh.worker.loop_crew import LoopCrew

        return LoopCrew(runner, slots, on_end, guard, call_offs)
    return ThreadCrew(runner, slots, on_end, call_offs)


class ConcurrentChild:
    """One child's life."""

    def __init__(self, mesh: App, order: ChildOrder, build: bytes, page: Page) -> None:
        """Prepare; `run` does the rest.

        Args:
            mesh: The app.
            order: What to do.
            build: What this build can run.
            page: Shared with the supervisor.
        """
        self.order = order
        self.holder = order.holder
        self._desk = desk = page.desk(order.place)
        self._flight = InFlight(desk)
        self._call_offs = CallOffs()
        # what is to be called off and has not come here yet
        self._early: dict[tuple[int, int], Slip] = {}
        guard = SharedGuard(desk, self._flight, self._call_offs, order.pool)
        self._tasks = mesh.tasks
        self._sheet = page.sheet(order.sheet_at, shared=True) if order.sheet_at else None
        count = counting(desk, self._sheet)
        self._talk = converse(mesh, order, build, holds=self._flight.held, count=count)
        self._sleep = sleep_of(order, desk, self._talk)
        self._outbox = self._talk.outbox
        self._mean_bytes = 1000.0
        runner = make_runner(
            mesh,
            self._talk,
            order,
            before_start=lambda _task: None,
            after_end=lambda _task, _seconds: None,
            guard=guard,
            sheet=self._sheet,
        )
        self._crew = make_crew(order.pool, runner, order.slots, self._ended, guard, self._call_offs)
        self._lifetime = Lifetime(order, self._talk, mesh.hooks, self._crew.run_coroutine)

    def has_process(self) -> None:
        """Say that this process is the child's own, to be ended where it can do nothing more."""
        self._talk.end_without_files(self._flight.clear_page)

    def stop(self) -> None:
        """End as soon as what runs has finished. May be said at any time, by any thread and by a signal."""
        self._talk.stopping = True

    def heed_signal(self) -> None:
        """Stop after what runs."""
        self._talk.interrupt()

    def run(self) -> int:
        """Claim and run until told to stop, and return the exit code."""
        self._outbox.open()
        self._crew.open()
        try:
            if not self._lifetime.begin():
                return self._lifetime.exit_code
            if self._sheet is not None:
                self._sheet.lives(self._tasks)
            try:
                return self._live()
            finally:
                self._lifetime.end()
        finally:
            self._flight.clear_page()
            self._outbox.close()
            self._talk.events.finish()
            self._crew.close()

    def _live(self) -> int:
        try:
            code = self._work()
            self._finish()
        except NodeFault as error:
            if not text_of(error).startswith("DEADWORKER"):
                raise
            log.warning("this worker was declared dead (%s); its messages run elsewhere", error)
            self._flight.clear_page()
            return EXIT_DECLARED_DEAD
        return code

    def _is_stopping(self) -> bool:
        # a method, since a signal may set the flag between any two looks at it
        return self._talk.stopping

    # -- claiming -----------------------------------------------------------------

    def _work(self) -> int:
        talk, flight = self._talk, self._flight
        while not self._is_stopping():
            talk.compare_now_and_then()
            self._heed_slips()
            self._lifetime.ran(flight.take_ended(), time.monotonic())
            self._lifetime.heed_growth()
            if not self._has_room():
                continue
            was_empty = not len(flight)
            batch: list[Claimed] = talk.turn(self._most())
            if self._is_stopping():
                if batch:
                    talk.give_back()  # claimed in the very moment of stopping
                break
            if not batch:
                if self.order.burst and not (was_empty and talk.is_due_soon()):
                    if was_empty:
                        return EXIT_BURST_DONE
                    flight.wait(len(flight) - 1, HEED_S)  # what runs may send more
                    continue
                batch = self._sleep()
            if batch:
                self._take_on(batch)
        return self._lifetime.exit_code

    def _room(self) -> int:
        """Return how many more messages it may take: for its slots, and before it is so old that it is replaced."""
        return self._lifetime.most(self.order.slots) - self._flight.not_counted()

    def _has_room(self) -> bool:
        """Wait a moment for room, and tell whether there is any."""
        if self._room() > 0:
            return True
        self._sign_off_elsewhere()
        running = len(self._flight)
        if not self._flight.wait(max(0, running - 1), HEED_S):
            return False
        if running > 1:
            self._flight.wait(running // 2, GATHER_S)
        return self._room() > 0

    def _most(self) -> int:
        """Return how many messages to claim."""
        return max(1, min(self._room(), CLAIM_MAX, int(CLAIM_BYTES / self._mean_bytes)))

    def _sign_off_elsewhere(self) -> None:
        """Be handed nothing from other queues when what came with a wake-up was the last that there is room for."""
        if self._talk.is_idle and self._talk.source_count > 1:
            self._talk.sign_off()

    # -- running ------------------------------------------------------------------

    def _take_on(self, batch: list[Claimed]) -> None:
        sequence = self._talk.sequence
        if self._sheet is not None:
            self._sheet.claimed(len(batch))
        self._mean_bytes += (sum(len(found.record) for found in batch) / len(batch) - self._mean_bytes) * 0.3
        if is_suspect(batch[0]):
            self._run_alone(sequence, batch)
            return
        self._flight.begin(sequence, batch)
        self._heed_early(sequence)
        self._crew.start(batch)

    def _run_alone(self, sequence: int, batch: list[Claimed]) -> None:
        """Run a message that may have killed its process, so that the page can name it should it do so again."""
        self._sign_off_elsewhere()
        self._rest()
        if self._is_stopping():
            self._talk.give_back(sequence=sequence)
            return
        self._heed_slips()
        self._flight.begin(sequence, batch, suspect=True)
        self._heed_early(sequence)
        self._crew.start(batch)
        self._rest()

    def _rest(self) -> None:
        """Claim nothing until nothing runs, or the time is over."""
        until_s = time.monotonic() + ALONE_S
        while not self._flight.wait(0, HEED_S):
            self._heed_slips()
            if self._is_stopping() or time.monotonic() >= until_s:
                return

    # -- calling off --------------------------------------------------------------

    def _heed_slips(self) -> None:
        """Call off what the supervisor wants called off."""
        slips = self._desk.slips()
        for slip in slips:
            if not self._call_off(slip):
                self._early[slip.sequence, slip.position] = slip
                if len(self._early) > EARLY_MAX:
                    del self._early[next(iter(self._early))]
        if slips:
            self._desk.heeded(len(slips))

    def _heed_early(self, sequence: int) -> None:
        """Call off what was to be called off before it came here."""
        for run in [run for run in self._early if run[0] == sequence]:
            self._call_off(self._early.pop(run))

    def _call_off(self, slip: Slip) -> bool:
        """Call off a run, which ends with the process if it goes on; return whether it was found."""
        until_s = time.monotonic() + CALLED_OFF_GRACE_S
        message = self._flight.call_off(slip.sequence, slip.position, until_s)
        if message is None:
            return False
        self._call_offs.add(message, slip.sender)
        if message in self._flight:
            self._crew.reach(message)
        else:
            self._call_offs.forget(message)  # it has ended in this very moment
        return True

    # -- ending -------------------------------------------------------------------

    def _ended(self, claimed: Claimed, letter: bytes, outcome: bytes) -> None:
        """Take in how a message ended; called by the crew's threads."""
        message = claimed.task_id, claimed.token
        if message in self._call_offs:
            self._flight.clear_deadline(message)
        self._outbox.add(claimed.task_id, claimed.token, letter, outcome, time.monotonic())
        done = self._flight.end(claimed)
        self._call_offs.forget(message)
        if done is not None:
            self._outbox.close_claim(*done)
            if not len(self._flight):
                self._outbox.hurry()

    def _finish(self) -> None:
        """Let what runs end, and commit it. It is for the supervisor to lose patience."""
        if self._talk.is_idle:
            self._talk.sign_off()
        while not self._flight.wait(0, HEED_S):
            self._heed_slips()
            self._talk.compare_now_and_then()
        self._outbox.finish()


def is_suspect(claimed: Claimed) -> bool:
    """Tell whether a message is to be run alone: one with others died of it, or of one of them."""
    return claimed.record[61:62] in FLAGGED
