"""What becomes of what dead children and dead workers held."""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from typing import Any

from taskmesh.codec.about import read_about
from taskmesh.codec.attempts import attempts_so_far
from taskmesh.codec.envelope import decode_envelope
from taskmesh.codec.outcome import Outcome, PastAttempt, encode_outcome
from taskmesh.core import keys
from taskmesh.core.event import CRASHED, KIND_OF, WORKER_DOWN, Event
from taskmesh.core.record import AT_MOST_ONCE
from taskmesh.errors import TaskMeshError, TrustError
from taskmesh.nodes.event_sender import publish_events
from taskmesh.nodes.link import Link
from taskmesh.nodes.machine import boot_id
from taskmesh.queue.claim import ELSEWHERE, held, unheard
from taskmesh.queue.dead import whole_record
from taskmesh.queue.workers import Charge, bury, children, declare_dead, reap
from taskmesh.replication.ask import plain
from taskmesh.results.read import read
from taskmesh.worker.options import SUPERVISOR_PATIENCE_S
from taskmesh.worker.page import MANY, NOTHING, Note, name_of
from taskmesh.worker.patience import run_patiently
from taskmesh.worker.process import pid_space, started_at
from taskmesh.worker.sentence import Sentence

log = logging.getLogger("taskmesh.worker")

#: Workers whose facts are remembered.
KNOWN_MAX = 10_000


class Undertaker:
    """Returns the messages of the dead to their lines, and charges the one that was running."""

    def __init__(
        self,
        link: Link,
        incarnation: bytes,
        worker: str,
        *,
        max_crashes: int,
        dead_expires_s: int,
        within_s: float | None = None,
    ) -> None:
        """Prepare.

        Args:
            link: To the mesh.
            incarnation: Of the worker that acts.
            worker: Its name.
            max_crashes: A message with so many crashes becomes a dead letter.
            dead_expires_s: How long that is kept.
            within_s: How long to wait for an answer; None for as long as the link waits.
        """
        self._link = link
        self._within_s = within_s
        self._incarnation = incarnation
        self._worker = worker
        self._max_crashes = max_crashes
        self._dead_expires_s = dead_expires_s
        self._known: dict[bytes, dict[str, Any]] = {}

    def child_died(
        self,
        holder: bytes,
        queues: Sequence[bytes],
        note: Note | None,
        how: str,
        *,
        singly: bool = False,
        last: Note | None = None,
        sentence: Sentence | None = None,
    ) -> int:
        """Put back what a child held, and return how many messages that were.

        Args:
            holder: The child.
            queues: On which it may be registered as idle.
            note: What it noted last; None charges nobody. If it ran many, they are claimed singly from now on.
            how: Exit code or signal, for the dead letter's story.
            singly: Have the messages claimed one at a time from now on.
            last: What it noted last, whoever is charged, for those that may begin only once; None if nobody knows.
            sentence: What it was ended for.
        """
        charge, found = None, self._run(held(self._link.session, holder))
        if note is not None and note.position == MANY:
            # any may be guilty
            singly = True
        elif sentence is not None or (note is not None and note.position):
            for sequence, position, task_id, head in found:
                if sentence is not None:
                    if is_it(sentence, sequence, position, task_id):
                        charge = self._sentenced(task_id, head, sentence)
                elif note is not None and is_it(note, sequence, position, task_id):
                    charge = self._charge(task_id, head, how)
        lost = [
            self._lost(task_id, head, how)
            for sequence, position, task_id, head in found
            if _hex(head[61:62]) & AT_MOST_ONCE and may_have_begun(last, sequence, position)
        ]
        count: int = self._run(
            reap(
                self._link.session,
                holder,
                self._incarnation,
                queues,
                charge,
                singly=singly,
                lost=lost,
                dead_expires_s=self._dead_expires_s,
            )
        )
        try:
            told = sentence.told if sentence is not None else how
            self._tell_of(holder, charge, lost, told, ended=sentence is not None)
        except TaskMeshError as error:
            log.debug("nobody was told what became of a child: %s", error)
        return count

    def _tell_of(
        self, holder: bytes, charge: Charge | None, lost: Sequence[Charge], how: str, *, ended: bool
    ) -> None:
        """Tell whoever listens; a crash is so rare that asking first would cost as much."""
        told = [(KIND_OF[one.letter.decode()][0], one) for one in lost]
        if charge is not None:
            if not ended:
                told.append((CRASHED, charge))
            if charge.outcome:
                told.append((KIND_OF[charge.letter.decode()][0], charge))
        if told:
            worker = self._worker_of(holder)
            publish_events(self._link, [self._event(kind, what, worker, how) for kind, what in told])

    def _event(self, kind: str, what: Charge, worker: str, how: str) -> Event:
        task_id = what.task_id.decode(errors="replace")
        task, queue = self._task_of(task_id)
        return Event(kind, self._link.clock.now_ms(), task_id, task, queue, worker, detail=how)

    def _worker_of(self, holder: bytes) -> str:
        """Return the name of the worker whose child a holder was; of one that told none its incarnation."""
        incarnation = holder[: len(self._incarnation)]
        if incarnation == self._incarnation:
            return self._worker
        return str(self._about(incarnation).get("name") or incarnation.decode(errors="replace"))

    def tell_of_death(self, incarnation: bytes) -> None:
        """Tell whoever listens that a worker was declared dead."""
        name = str(self._about(incarnation).get("name") or "")
        now_ms = self._link.clock.now_ms()
        detail = f"declared dead by {self._worker}: its lease is over"
        publish_events(
            self._link, [Event(WORKER_DOWN, now_ms, incarnation.decode(), worker=name, detail=detail)]
        )

    def _sentenced(self, task_id: str, head: bytes, sentence: Sentence) -> Charge:
        """Return how the message ends for which its child was ended."""
        token = head[2:52]
        outcome = sentence.outcome(
            task_id,
            token.decode(),
            finished_ms=self._link.clock.now_ms(),
            worker=self._worker,
            attempt=_hex(head[56:58]),
            attempts=self._attempts(task_id, head),
        )
        log.log(sentence.level, "task %s %s", self._named(task_id), sentence.told)
        return Charge(
            task_id.encode(), token, encode_outcome(outcome, self._link.results), letter=sentence.letter
        )

    def _lost(self, task_id: str, head: bytes, how: str) -> Charge:
        """Return the end of a message that may begin only once, and perhaps has."""
        died = f"its process died by {how}" if how else "its process is gone"
        reason = f"{died}, it may have begun, and at_most_once forbids another run"
        log.error("task %s becomes a dead letter: %s", self._named(task_id), reason)
        return Charge(task_id.encode(), head[2:52], self._dead(task_id, head, reason))

    def _dead(self, task_id: str, head: bytes, reason: str) -> bytes:
        outcome = Outcome(
            task_id,
            "DEAD",
            head[2:52].decode(),
            finished_ms=self._link.clock.now_ms(),
            worker=self._worker,
            attempt=_hex(head[56:58]),
            reason=reason,
            attempts=self._attempts(task_id, head),
        )
        return encode_outcome(outcome, self._link.results)

    def _charge(self, task_id: str, head: bytes, how: str) -> Charge:
        token = head[2:52]
        crashes = _hex(head[58:60]) + 1
        if crashes < self._max_crashes:
            log.warning(
                "task %s was running when its process died (%s), crash %d", self._named(task_id), how, crashes
            )
            return Charge(task_id.encode(), token)
        reason = f"its process died {crashes} times while running it, the last time by {how}"
        log.error("task %s becomes a dead letter: %s", self._named(task_id), reason)
        return Charge(task_id.encode(), token, self._dead(task_id, head, reason))

    def _named(self, task_id: str) -> str:
        """Return the id with the name of the task, if its signature is fine."""
        task, _ = self._task_of(task_id)
        return f"{task_id} ({task})" if task else task_id

    def _task_of(self, task_id: str) -> tuple[str, str]:
        """Return the names of the task and the queue, if the message's signature is fine; else nothing."""
        try:
            found = self._run(whole_record(self._link.session, task_id))
            if found is None or not found.envelope:
                return "", ""
            envelope = decode_envelope(found.envelope, self._link.messages, expect_id=task_id)
        except TrustError as error:
            log.debug("the name of task %s cannot be told: %s", task_id, error)
            return "", ""
        return envelope.task, envelope.queue

    def known_as(self, incarnation: bytes) -> str:
        """Return name and incarnation of a worker."""
        name = self._about(incarnation).get("name")
        return f"{name} ({incarnation.decode()})" if name else incarnation.decode()

    def _attempts(self, task_id: str, head: bytes) -> tuple[PastAttempt, ...]:
        """Return the attempts that were made before its process died."""
        if not _hex(head[94:102]):
            return ()
        (found,) = self._run(read(self._link.session, [task_id]))
        return attempts_so_far(found, self._link.results, task_id)

    def worker_died(self, incarnation: bytes, *, blame: bool) -> int:
        """Put back what all children of a worker that is declared dead held.

        Its page died with it. So a crash is charged only where a child held a single message; of the others
        any may be guilty, and they are claimed singly from now on. What was handed to a child with a wake-up that still
        lies there has not begun.

        Args:
            incarnation: The dead worker.
            blame: False when so many died at once that no message is to blame.
        """
        total = 0
        queues = [str(queue).encode() for queue in self._about(incarnation).get("queues") or ()]
        for child in self._run(children(self._link.session, incarnation)):
            holder = incarnation + child
            holds = self._run(held(self._link.session, holder))
            if holds:
                not_begun = self._run(unheard(self._link.session, holder))
                holds = [found for found in holds if found[2] not in not_begun]
            note = None
            if blame and len(holds) == 1:
                sequence, position, task_id, _ = holds[0]
                note = Note(sequence, position, position, 0.0, name_of(task_id.encode()))
            total += self.child_died(
                holder, queues, note, "the death of its worker", singly=blame and len(holds) > 1
            )
        self._run(bury(self._link.session, incarnation))
        return total

    def declare(self, incarnation: bytes, count: int) -> bool:
        """Declare a worker dead unless its counter has moved."""
        declared: bool = self._run(declare_dead(self._link.session, incarnation, count))
        return declared

    def is_gone_from_this_host(self, incarnation: bytes) -> bool:
        """Tell whether a worker ran on this very boot of this host, and its process does not exist any more."""
        about = self._about(incarnation)
        if about.get("host") != socket.gethostname() or not about.get("boot"):
            return False
        if about["boot"] != boot_id():
            return True  # the machine was started anew: nothing of before runs
        pid = about.get("pid")
        return (
            isinstance(pid, int)
            and about.get("pids") == pid_space()
            and started_at(pid) != about.get("start", started_at(pid))
        )

    def _about(self, incarnation: bytes) -> dict[str, Any]:
        """Return what a worker told of itself; it does so once, so it is asked for once."""
        about = self._known.get(incarnation)
        if about is None:
            raw = self._run(
                plain(self._link.session, b"HGET", keys.worker(self._link.prefix, incarnation), b"info")
            )
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            about = self._known[incarnation] = read_about(raw)
        return about

    def _run(self, steps: Any) -> Any:
        return run_patiently(self._link, steps, SUPERVISOR_PATIENCE_S, within_s=self._within_s)


def is_it(run: Note | Sentence, sequence: int, position: int, task_id: str) -> bool:
    """Tell whether a message that a child held is that of a run, which goes by where it was claimed, and by name."""
    if sequence < ELSEWHERE:
        return (sequence, position) == (run.sequence, run.position)
    # another node has taken it over since: it knows the claim, but not what else was of it
    same_claim = sequence % ELSEWHERE == run.sequence % ELSEWHERE
    return same_claim and run.name == name_of(task_id.encode())


def may_have_begun(last: Note | None, sequence: int, position: int) -> bool:
    """Tell whether a message may have begun, by what the child that held it noted last."""
    if sequence >= ELSEWHERE:
        return True  # it was claimed on another node, and nobody knows whether before or after
    if last is None or last.sequence != sequence:
        return last is None or sequence < last.sequence
    return last.position == NOTHING or position <= last.position


def _hex(digits: bytes) -> int:
    """Return a number in the head of a record; 0 if it is none, for anybody may have written there."""
    try:
        return int(digits, 16)
    except ValueError:
        return 0
