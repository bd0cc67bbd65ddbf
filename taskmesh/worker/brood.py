"""The children of one life of a worker: when they start, what they leave, what is taken back from them."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from taskmesh.core.claim_names import sequence_of
from taskmesh.core.keys import BY_TICKET, MANY_AT_ONCE
from taskmesh.core.limits import Limits
from taskmesh.errors import NodeFault, NodeUnavailable
from taskmesh.metrics.tally import Tally
from taskmesh.nodes.known_members import addresses_of
from taskmesh.nodes.link import Link
from taskmesh.queue.claim import recall
from taskmesh.worker.end_of_child import how_it_ended, packed_death
from taskmesh.worker.endings import Endings, KnownChild, send_signal
from taskmesh.worker.every_node import link_of, wake_children, within_s
from taskmesh.worker.mesh_presence import MeshUndertaker
from taskmesh.worker.nursery import Began, Ended, News, Nursery
from taskmesh.worker.options import (
    EXIT_BURST_DONE,
    EXIT_CANNOT_START,
    EXIT_DECLARED_DEAD,
    EXIT_HOOK_FAILED,
    EXIT_OK,
    EXIT_RETIRED,
    SUPERVISOR_PATIENCE_S,
    ChildOrder,
)
from taskmesh.worker.page import NOTHING, Note, Page, make_page, sheet_at
from taskmesh.worker.patience import run_patiently
from taskmesh.worker.pools import PROCESS, Seat
from taskmesh.worker.report import Place, Reporter
from taskmesh.worker.sentence import Sentence
from taskmesh.worker.undertaker import Undertaker
from taskmesh.worker.words import are

log = logging.getLogger("taskmesh.worker")

#: A slow task gives up what waits behind it after so long.
RECALL_S = 0.05
#: A child that ends sooner than this after its start, and not in a task, is replaced only after a pause.
SHORT_LIFE_S = 1.0
RESTART_S_MAX = 5.0
#: After so many children in a row that could not start, none can.
FAILED_STARTS_MAX = 3
#: Between two claims a child notes nothing for a moment, and is not idle for that.
BREATH_S = 0.1
#: How long to leave a node alone that could not put back what a dead child held.
REAP_AGAIN_S = 0.2
#: Ends that a child has told, or that nobody needs to be told of.
_IN_PEACE = (EXIT_OK, EXIT_BURST_DONE, EXIT_CANNOT_START, EXIT_RETIRED, EXIT_HOOK_FAILED)


@dataclass(frozen=True, slots=True)
class _Dead:
    """A child whose messages are to be put back: with `last`, what it noted last, if that tells what it had begun."""

    order: ChildOrder
    note: Note | None
    how: str
    last: Note | None = None
    sentence: Sentence | None = None


class Brood:
    """The children of one life. A new life has a new brood, so that nothing of the old one is mistaken for it.

    Attributes:
        endings: Ends what they run.
        queues: What they serve.
        size: How many there are to be.
        failed_starts: How many in a row could not start, up to now.
        disowned: Whether a child was told that this life is over.
    """

    def __init__(
        self,
        link: Link,
        nursery: Nursery,
        undertaker: Undertaker | MeshUndertaker,
        reporter: Reporter,
        *,
        incarnation: bytes,
        worker: str,
        seats: Sequence[Seat],
        strategy: str,
        weights: Mapping[str, int],
        burst: bool,
        max_tasks: int = 0,
        max_memory: int = 0,
        at_first: int = 0,
        limits: Limits,
        nodes: int = 0,
        tally: Tally | None = None,
        by_ticket: bool = False,
    ) -> None:
        """Prepare; `tend` starts children.

        Args:
            link: To the mesh.
            nursery: Starts processes.
            undertaker: Puts back what dead children held.
            reporter: Says what they do.
            incarnation: Of this life.
            worker: Name of the worker.
            seats: What each of them is.
            strategy: From which of its queues each takes next.
            weights: Of the queues.
            burst: They end when the queues are empty.
            max_tasks: Each is replaced after so many; 0 for never.
            max_memory: Each is replaced with so much private memory, in bytes; 0 for never.
            at_first: How many of them there are at first; 0 for all.
            limits: Of tasks that have none of their own.
            nodes: From how many nodes each claims at most; 0 for what suits.
            tally: Adds up what they count; None if they do not.
            by_ticket: Whether tickets of a broker wake them, and not the nodes.
        """
        self._by_ticket = BY_TICKET if by_ticket else 0
        self._link = link
        self._nodes = nodes
        self._tally = tally
        self._nursery = nursery
        self._undertaker = undertaker
        self._reporter = reporter
        self._incarnation = incarnation.decode()
        self._worker = worker
        self._seats = tuple(seats)
        self.queues = tuple(dict.fromkeys(queue for seat in seats for queue in seat.queues))
        self._strategy = strategy
        self._weights = dict(weights)
        self._burst = burst
        self._max_tasks = max_tasks
        self._max_memory = max_memory
        self.size = at_first or len(self._seats)
        self._limits = limits
        self._page_fd = make_page(len(self._seats), with_sheets=tally is not None)
        self._page = Page(self._page_fd)
        self._children: dict[int, KnownChild] = {}
        self.endings = Endings(link, self._page, self._children, worker)
        self._dead: list[_Dead] = []
        self._reap_at = 0.0
        self._free = list(range(self.size))
        self._spare = list(range(self.size, len(self._seats)))
        self._resting: list[int] = []
        self._restart_at: list[tuple[float, int]] = []
        self._restart_s = 0.0
        self._next_number = 0
        self.failed_starts = 0
        self._stopping = False
        self._killed = False
        self.disowned = False

    def is_buried_by(self, undertaker: Undertaker | MeshUndertaker) -> None:
        """Have another put back what dead children held: the only node has become one of several."""
        self._undertaker = undertaker

    # -- what the supervisor asks -------------------------------------------------

    def is_empty(self) -> bool:
        """Tell whether no child lives and all that the dead ones held is back in line."""
        return not self._children and not self._dead

    def has_children(self) -> bool:
        """Tell whether a child lives."""
        return bool(self._children)

    def has_dead(self) -> bool:
        """Tell whether what a dead child held is not back in line yet."""
        return bool(self._dead)

    @property
    def is_resting(self) -> bool:
        """Whether a burst has come to its end."""
        return self._burst and bool(self._resting)

    def children(self) -> list[KnownChild]:
        """Return those that live; any thread may ask."""
        return list(self._children.values())

    def note(self, child: KnownChild) -> Note:
        """Return what a child noted last; any thread may ask."""
        return self._page.read(child.order.place)

    def count_waiting(self) -> int:
        """Return how many children wait to be woken by a ticket; any thread may ask."""
        alive = [child.order.place for child in list(self._children.values())]
        return sum(map(self._page.waits, alive))

    def holders(self) -> set[bytes]:
        """Return how the scripts know those that live, and those whose end is not dealt with yet."""
        living = {child.order.holder for child in self._children.values()}
        return living | {dead.order.holder for dead in self._dead}

    def is_done(self) -> bool:
        """Tell whether a burst is over: all children found the queues empty, and nothing came back since."""
        return self._burst and self.is_empty() and not self._free and not self._restart_at

    def cannot_start(self) -> bool:
        """Tell whether it is certain that no child can start."""
        return self.failed_starts >= FAILED_STARTS_MAX and not self._children

    def has_waiting(self) -> bool:
        """Tell whether messages wait behind one that runs."""
        return any(self._page.read(child.order.place).waiting for child in self._children.values())

    def report(self, now_s: float) -> bytes:
        """Return what the worker publishes of its children."""
        places = (
            Place(child.order.number, child.pid, child.order.place) for child in self._children.values()
        )
        return self._reporter.report(self._page, places, now_s)

    # -- starting -----------------------------------------------------------------

    def tend(self, now_s: float) -> None:
        """Start the children that are due."""
        if self._dead:
            return  # what those held goes first: in a burst, a new child would find the line empty
        for due_s, place in list(self._restart_at):
            if now_s >= due_s:
                self._restart_at.remove((due_s, place))
                self._free.append(place)
        while self._free:
            place = self._free.pop(0)
            self._next_number += 1
            self._page.clear(place)
            seat = self._seats[place]
            at = self._begin_sheet(place)
            order = ChildOrder(
                incarnation=self._incarnation,
                number=self._next_number + self._by_ticket + (MANY_AT_ONCE if seat.kind != PROCESS else 0),
                place=place,
                worker=self._worker,
                queues=seat.queues,
                burst=self._burst,
                max_tasks=self._max_tasks,
                max_memory=self._max_memory,
                strategy=self._strategy,
                weights=self._weights,
                pool=seat.kind,
                slots=seat.slots,
                nodes=self._nodes,
                soft_time_limit_s=self._limits.soft_s,
                time_limit_s=self._limits.hard_s,
                members=addresses_of(self._link.view),
                sheet_at=at,
            )
            self._children[order.number] = KnownChild(order)
            self._nursery.start(order, self._page_fd)

    def _begin_sheet(self, place: int) -> int:
        """Have a child count on a clear sheet, and return where in the page that is; 0 if it does not."""
        if self._tally is None:
            return 0
        at = sheet_at(len(self._seats), place)
        sheet = self._page.sheet(at)
        sheet.clear()
        self._tally.begin(place, sheet)
        return at

    def hear(self, news: News) -> None:
        """Take in that a child began or ended."""
        if isinstance(news, Began):
            child = self._children.get(news.number)
            if child is None:
                send_signal(news.pid, signal.SIGKILL)  # ordered in a life that is over
            else:
                child.pid = news.pid
                if self._stopping:
                    send_signal(child.pid, signal.SIGKILL if self._killed else signal.SIGTERM)
        elif isinstance(news, Ended):
            for child in self._children.values():
                if child.pid == news.pid:
                    self._ended(child, news.code)
                    return
        else:
            self._lost()

    def _ended(self, child: KnownChild, code: int) -> None:
        del self._children[child.order.number]
        place = child.order.place
        note = self._page.read(place)
        self._reporter.ended(self._page, place)
        task = self._tally.end(place) if self._tally is not None else ""
        # a task may end the process with any code: the codes mean something only between tasks
        in_task = note.position != NOTHING
        code_means = None if in_task else code
        if code_means == EXIT_DECLARED_DEAD:
            self.disowned = True
            return
        # one that runs many at once notes only whose fault its death would be
        last = note if child.order.pool == PROCESS else None
        how = how_it_ended(code)
        if in_task or child.sentence is not None:
            self._page.add_death(place, packed_death(code, child.sentence))
        if self._stopping:
            self._dead.append(_Dead(child.order, None, how, last, child.sentence))
            return
        if child.sentence is not None:
            # it was ended on purpose: nobody is charged with that
            self._dead.append(_Dead(child.order, None, how, last, child.sentence))
            if child.is_dismissed:
                self._spare.append(place)
            else:
                self._restart_at.append((time.monotonic(), place))
            return
        if in_task or code_means not in _IN_PEACE:
            log.warning("child %d of worker %s died by %s", child.order.shown, self._worker, how)
            if self._tally is not None:
                self._tally.died(task, in_task=in_task)
        self._dead.append(_Dead(child.order, note if in_task else None, how, last))
        if child.is_dismissed:
            self._spare.append(place)
            return
        if code_means == EXIT_BURST_DONE:
            self._resting.append(place)
            return
        # a worker that lasts waits for what its hook needs; a burst is to end
        gives_up = (EXIT_CANNOT_START, EXIT_HOOK_FAILED) if self._burst else (EXIT_CANNOT_START,)
        self.failed_starts = self.failed_starts + 1 if code_means in gives_up else 0
        died_early = time.monotonic() - child.since_s < SHORT_LIFE_S and not in_task
        if (died_early and code_means != EXIT_RETIRED) or code_means == EXIT_HOOK_FAILED:
            self._restart_s = min(RESTART_S_MAX, max(0.05, self._restart_s * 2))
        else:
            self._restart_s = 0.0
        self._restart_at.append((time.monotonic() + self._restart_s, place))

    def _lost(self) -> None:
        """Without the template nobody can fork or reap: what the children held goes back, uncharged."""
        self._signal_all(signal.SIGKILL)
        self._dead += [
            _Dead(child.order, None, "the death of the template", sentence=child.sentence)
            for child in self._children.values()
        ]
        self._forget_children()

    def _forget_children(self) -> None:
        self._children.clear()
        if self._tally is not None:
            self._tally.end_all()

    # -- more and fewer -----------------------------------------------------------

    def are_busy(self, now_s: float) -> bool:
        """Tell whether every child runs something; between two claims it does, too."""
        working = [child for child in self._children.values() if not child.is_dismissed]
        return len(working) == self.size and all(self._idle_s(child, now_s) < BREATH_S for child in working)

    def grow(self, count: int) -> None:
        """Have so many more children, as far as there are places."""
        added, self._spare = self._spare[:count], self._spare[count:]
        self._free += added
        self.size += len(added)

    def dismiss_idle(self, now_s: float, idle_s: float) -> bool:
        """Have the child end that has been idle longest, if it has been for so long, and tell whether it was."""
        working = [child for child in self._children.values() if child.pid and not child.is_dismissed]
        idle = max(working, key=lambda child: self._idle_s(child, now_s), default=None)
        if idle is None or self._idle_s(idle, now_s) < idle_s:
            return False
        idle.is_dismissed = True
        self.size -= 1
        # should it have been given something meanwhile, it finishes that
        send_signal(idle.pid, signal.SIGTERM)
        self._wake([idle])
        return True

    def _idle_s(self, child: KnownChild, now_s: float) -> float:
        """Return for how long a child has had nothing to do; one that starts has."""
        note = self._page.read(child.order.place)
        return 0.0 if note.position else now_s - max(note.started_s, child.since_s)

    def _wake(self, children: Iterable[KnownChild]) -> None:
        wake_children(self._link, [child.order.holder for child in children])

    # -- taking back --------------------------------------------------------------

    def reap(self, now_s: float) -> None:
        """Put back what dead children held; what the node does not take now is tried again."""
        if not self._dead or now_s < self._reap_at:
            return
        queues = [queue.encode() for queue in self.queues]
        while self._dead:
            dead = self._dead[0]
            try:
                count = self._undertaker.child_died(
                    dead.order.holder,
                    queues,
                    dead.note,
                    dead.how,
                    last=dead.last,
                    sentence=dead.sentence,
                )
            except NodeUnavailable as error:
                log.warning("what child %d held is not back in line yet: %s", dead.order.shown, error)
                self._reap_at = time.monotonic() + REAP_AGAIN_S
                return
            except NodeFault:
                # nothing that repeating mends: it is taken over when this life ends
                log.exception("what child %d held cannot be put back", dead.order.shown)
                count = 0
            self._dead.pop(0)
            if count:
                log.info("%s back in line, which child %d held", are(count), dead.order.shown)
                self._wake_resting()

    def recall_waiting(self, now_s: float) -> None:
        """Take back what waits behind a task that turns out slow."""
        for child in self._children.values():
            place = child.order.place
            note = self._page.read(place)
            if not note.waiting or note.sequence == child.recalled or now_s - note.started_s < RECALL_S:
                continue
            child.recalled = note.sequence
            self._page.set_recalled(place, note.sequence)
            # read again: the child looks at the flag after it has noted where it is
            note = self._page.read(place)
            if note.sequence != child.recalled or note.position == NOTHING:
                continue
            link = link_of(self._link, note.sequence)
            if link is None:
                continue  # the child gives them back itself, wherever they are
            sequence = sequence_of(note.sequence)
            steps = recall(link.session, child.order.holder, sequence, note.position)
            try:
                count = run_patiently(link, steps, SUPERVISOR_PATIENCE_S, within_s=within_s(self._link))
            except NodeUnavailable as error:
                log.warning("messages behind a slow task are given back by its child when it ends: %s", error)
                continue
            log.debug("behind a slow task: %s back in line", are(count))
            if count:
                self._wake_resting()

    def _wake_resting(self) -> None:
        """Have the children of a burst who found nothing look again."""
        self._free += self._resting
        self._resting.clear()

    # -- ending -------------------------------------------------------------------

    def stop(self) -> None:
        """Have the children finish what they run, and end."""
        self._stopping = True
        # which ends their waiting for a wake-up, too
        self._signal_all(signal.SIGTERM)

    def kill(self) -> None:
        """End the children now; what they run goes back in line, not charged."""
        self._stopping = self._killed = True
        if self._children:
            log.warning(
                "worker %s ends %d running %s now; what they ran goes back in line, not charged",
                self._worker,
                len(self._children),
                "child" if len(self._children) == 1 else "children",
            )
        self._signal_all(signal.SIGKILL)

    def disperse(self) -> None:
        """End the children of a life that is over: what they held is not theirs any more."""
        self._stopping = self._killed = True
        self._signal_all(signal.SIGKILL)
        self._forget_children()
        self._dead.clear()
        self.close()

    def close(self) -> None:
        """Let go of the page."""
        self._forget_children()
        if self._page_fd >= 0:
            os.close(self._page_fd)
            self._page_fd = -1

    def _signal_all(self, number: int) -> None:
        for child in self._children.values():
            if child.pid:
                send_signal(child.pid, number)
