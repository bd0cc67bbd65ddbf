"""A look at what workers do: `mesh.inspect()`, with Celery's methods and shape, a dict from a worker to a list.

No worker is asked. What each holds stands on the node, and what it is at is published with its heartbeat, every two
seconds at most; so what changed since is not seen yet. A task's name is shown only where its message's signature is
fine, and a worker's report only where its own is.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from taskmesh.codec.about import read_about
from taskmesh.codec.envelope import decode_envelope
from taskmesh.codec.report import BrokerReport, ChildReport, Report, decode_report
from taskmesh.core.claim_names import claim_name
from taskmesh.core.keys import BY_TICKET
from taskmesh.core.record import REVOKE_REQUESTED, Record
from taskmesh.core.state import State
from taskmesh.errors import TrustError, UsageError
from taskmesh.nodes.look import Look
from taskmesh.queue.claim import ELSEWHERE
from taskmesh.queue.inspect import Holding, Waiting, holdings, records, scheduled, workers
from taskmesh.queue.rate import held_back
from taskmesh.queue.workers import children

if TYPE_CHECKING:
    from taskmesh.core.steps import Steps
    from taskmesh.nodes.link import Link

T = TypeVar("T")
log = logging.getLogger("taskmesh")

Rows = dict[str, list[dict[str, Any]]]

#: How many messages are shown of one worker, unless the caller says otherwise.
LIMIT = 50
#: More messages than any node holds, and what a server takes for a number.
_COUNT_MAX = 10**12
#: A worker whose last beat is older than so many beats does not answer.
BEATS_MISSED_MAX = 3
#: Children whose messages are read together.
_CHILDREN = 20
#: Of one child so many are read at least: all that a child can have claimed that runs one at a time.
_CLAIM = 500


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker that is looked at.

    Attributes:
        name: For people; with a part of its incarnation where two have the same.
        incarnation: One life of it.
        state: `live` or `dead`.
        about: What it told of itself when it registered. Not signed.
        report: What it published with its last beat; None where that is missing or cannot be believed.
        problem: Why not.
    """

    name: str
    incarnation: str
    state: str
    about: dict[str, Any]
    report: Report | None
    problem: str


@dataclass(frozen=True, slots=True)
class _Held:
    """A message of a child; `started_ms` is 0 where that is not known, None where it has not begun."""

    child: int
    pid: int
    holding: Holding
    started_ms: int | None


class Inspection:
    """A look at some workers of a mesh; each method looks anew."""

    def __init__(
        self, link: Link, names: Sequence[str] = (), *, limit: int = LIMIT, look: Look | None = None
    ) -> None:
        """Prepare.

        Args:
            link: To the mesh.
            names: Of the workers; none for all.
            limit: How many messages to show of each worker at most.
            look: Of which this is a part: who did not answer there is not waited for again; none for looks of its own.

        Raises:
            UsageError: A name or the limit cannot be one.
        """
        for name in names:
            if not isinstance(name, str):
                raise UsageError(
                    f"inspect({name!r}): expected names of workers, such as inspect('one', 'two')"
                )
        _check_count("limit", limit, 1)
        self._link = link
        self._part_of = look
        self._look = look or Look(link)
        self._names = tuple(names)
        self._told: set[str] = set()
        self._limit = limit

    # -- what is asked ------------------------------------------------------------

    def active(self) -> Rows:
        """Return what runs now, by worker.

        Each has id, task (None where the message cannot be verified), queue, priority, attempt, crashes, child, pid,
        started (None where it began after the worker's last beat, or is one of very many in one process), age_s, and
        revoked: whether it was asked to end.
        """
        return self._rows(running=True)

    def reserved(self) -> Rows:
        """Return what is claimed and has not begun, by worker."""
        return self._rows(running=False)

    def scheduled(self, *, start: int = 0) -> Rows:
        """Return what waits for its time, the next first: countdown, eta, retries, and what no worker knows yet.

        No worker holds it, it waits on the node: the one key is `node`. The `reason` of each is `time` (countdown or
        eta), `retry`, `rate limit`, or `unknown task`: no worker that met it knows that.

        Args:
            start: How many to pass over, to read on.

        Raises:
            UsageError: That is no number of them.
        """
        _check_count("start", start, 0)
        link, look = self._link, self._look_anew()
        _, found = look.ask(lambda: scheduled(link.session, self._limit, start))
        self._tell_of_silence("what waits there is not shown")
        rows = [self._about(waiting.task_id, waiting.record) for waiting in found]
        tasks = [
            (waiting.task_id, row["task"], waiting.due_ms)
            for waiting, row in zip(found, rows, strict=True)
            if row["task"] is not None and not waiting.build
        ]
        limited = look.ask(lambda: held_back(link.session, tasks))
        return {
            "node": [
                {
                    **row,
                    "state": waiting.record.state.value if waiting.record is not None else None,
                    "eta": as_iso(waiting.due_ms),
                    "parked_by": waiting.build or None,
                    "reason": _reason(waiting, is_limited=waiting.task_id in limited),
                }
                for waiting, row in zip(found, rows, strict=True)
            ]
        }

    def registered(self) -> dict[str, list[str]]:
        """Return the names of the tasks that each worker can run; a worker with hundreds of them does not list them."""
        return {
            worker.name: sorted(str(task) for task in worker.about.get("tasks") or ())
            for worker in self.workers()
            if worker.state == "live"
        }

    def stats(self) -> dict[str, dict[str, Any]]:
        """Return facts and counts of each worker: children, pool, how many runs ended how, since when it lives.

        `broker` is None without one, else its address and whether the worker hears its tickets: None if it does not
        listen.
        """
        return {worker.name: self._stats(worker) for worker in self.workers()}

    def ping(self) -> dict[str, dict[str, Any]]:
        """Tell of each worker whether its heart beats, `{"ok": "pong"}`, or `{"error": why not}`, and since when."""
        return {worker.name: self._pulse(worker) for worker in self.workers()}

    # -- workers ------------------------------------------------------------------

    def workers(self) -> list[Worker]:
        """Return the workers that are looked at, by name.

        Raises:
            UsageError: There is none of one of the names.
        """
        link, look = self._link, self._look_anew()
        found = []
        for seen in look.ask(lambda: workers(link.session)):
            about = read_about(seen.info)
            report, problem = None, "it has not published anything yet"
            if seen.report:
                try:
                    report, problem = decode_report(seen.report, link.reports, seen.incarnation), ""
                except TrustError as error:
                    problem = str(error)
            name = str(about.get("name") or seen.incarnation)
            found.append(Worker(name, seen.incarnation, seen.state, about, report, problem))
        found.sort(key=lambda worker: (worker.name, worker.incarnation))
        unknown = [name for name in self._names if name not in {worker.name for worker in found}]
        if unknown:
            known = ", ".join(worker.name for worker in found) or "none"
            raise UsageError(f"mesh {link.mesh!r} has no worker {unknown[0]!r}; it has {known}")
        return _told_apart([worker for worker in found if not self._names or worker.name in self._names])

    def _pulse(self, worker: Worker) -> dict[str, Any]:
        report = worker.report
        if report is None:
            return {"error": worker.problem, "beat_age_s": None}
        age_s = max(0, self._link.clock.now_ms() - report.at_ms) / 1000
        if worker.state != "live":
            return {"error": f"it was declared {worker.state}", "beat_age_s": age_s}
        if age_s > BEATS_MISSED_MAX * report.beat_s:
            return {
                "error": f"its last beat is {age_s:.1f} s old; one is due every {report.beat_s:g} s",
                "beat_age_s": age_s,
            }
        return {"ok": "pong", "beat_age_s": age_s}

    def _stats(self, worker: Worker) -> dict[str, Any]:
        about, report = worker.about, worker.report
        facts = {
            "state": worker.state,
            "incarnation": worker.incarnation,
            "host": about.get("host"),
            "pid": about.get("pid"),
            "app": about.get("app") or None,
            "build": about.get("build"),
            "queues": about.get("queues"),
            "strategy": about.get("strategy"),
            "weights": about.get("weights") or {},
            "concurrency": about.get("concurrency"),
            "problem": worker.problem or None,
        }
        if report is None:
            return facts
        return facts | {
            "pool": report.pool,
            "children": [child.pid for child in report.children],
            "running": sum(child.running for child in report.children),
            "prefetch": sum(child.total - child.position for child in report.children if child.position),
            "processed": report.counts,
            "total": sum(report.counts.values()),
            "uptime_s": report.uptime_s,
            "rss_bytes": report.rss_bytes or None,
            "broker": _broker(report.broker),
            "beat_age_s": max(0, self._link.clock.now_ms() - report.at_ms) / 1000,
        }

    # -- nodes --------------------------------------------------------------------

    @property
    def away(self) -> dict[str, str]:
        """The nodes that the last look went without: why each did not answer, by its id."""
        return dict(self._look.away)

    def _look_anew(self) -> Look:
        self._look, self._told = self._part_of or Look(self._link), set()
        return self._look

    def _tell_of_silence(self, so: str) -> None:
        for node, why in self._look.away.items():
            if node not in self._told:
                self._told.add(node)
                log.warning("node %s does not answer, so %s: %s", node, so, why)

    # -- messages -----------------------------------------------------------------

    def _rows(self, *, running: bool) -> Rows:
        return {worker.name: self._rows_of(worker, running=running) for worker in self.workers()}

    def _rows_of(self, worker: Worker, *, running: bool) -> list[dict[str, Any]]:
        link = self._link
        shown = []
        for held in self._held(worker):
            if (held.started_ms is not None) == running:
                shown.append(held)
                if len(shown) >= self._limit:
                    break
        found = self._look.ask(lambda: records(link.session, [held.holding.task_id for held in shown]))
        now_ms = link.clock.now_ms()
        return [
            {
                **self._about(held.holding.task_id, record),
                "worker": worker.name,
                "child": held.child % BY_TICKET,
                "pid": held.pid or None,
                **(_begun(held.started_ms, now_ms) if running else {}),
            }
            for held, record in zip(shown, found, strict=True)
            # what has ended in between is not shown
            if record is None or record.token == held.holding.head[2:52].decode(errors="replace")
        ]

    def _held(self, worker: Worker) -> Iterator[_Held]:
        """Yield what a worker's children hold, some children at a time."""
        link = self._link
        notes = {child.number: child for child in worker.report.children} if worker.report is not None else {}
        numbers = sorted(notes)
        if worker.report is None or worker.report.left_out:
            known = self._from_each(lambda: children(link.session, worker.incarnation.encode()))
            numbers = sorted({int(number, 16) for _, its in known for number in its})
        for start in range(0, len(numbers), _CHILDREN):
            some = numbers[start : start + _CHILDREN]
            holders = [b"%b%06x" % (worker.incarnation.encode(), number) for number in some]
            found = self._holdings(holders)
            for number, held in zip(some, found, strict=True):
                yield from _split(number, notes.get(number), held)

    def _holdings(self, holders: Sequence[bytes]) -> list[list[Holding]]:
        """Return what each of some children holds, under the names by which its worker reports claims."""
        link = self._link
        found: list[list[Holding]] = [[] for _ in holders]
        for node, its in self._from_each(lambda: holdings(link.session, holders, max(self._limit, _CLAIM))):
            for all_of_it, there in zip(found, its, strict=True):
                all_of_it += [replace(held, sequence=_name_of(node, held.sequence)) for held in there]
        return found

    def _from_each(self, make: Callable[[], Steps[T]]) -> list[tuple[str, T]]:
        """Ask each node for what is its own; of several, those that do not answer are told of, and left out."""
        found = self._look.ask_each(make)
        self._tell_of_silence("what is claimed there is not shown")
        return found

    def _about(self, task_id: str, record: Record | None) -> dict[str, Any]:
        """Return what is known of a message; its task only where the signature is fine."""
        if record is None:
            return {"id": task_id, "task": None, "queue": None, "verified": False}
        task = None
        with suppress(TrustError):  # `verified` says so; the worker that runs it tells why
            task = decode_envelope(record.envelope, self._link.messages, expect_id=task_id).task
        return {
            "id": task_id,
            "task": task,
            "queue": record.queue,
            "priority": record.priority,
            "attempt": record.attempt,
            "crashes": record.crashes,
            "revoked": bool(record.flags & REVOKE_REQUESTED),
            "verified": task is not None,
        }


def _reason(waiting: Waiting, *, is_limited: bool) -> str:
    if waiting.build:
        return "unknown task"
    if is_limited:
        return "rate limit"
    return "retry" if waiting.record is not None and waiting.record.state is State.RETRY else "time"


def _broker(told: BrokerReport | None) -> dict[str, Any] | None:
    if told is None:
        return None
    return {"address": told.shown, "hears": told.hears, "trouble": told.trouble or None}


def _name_of(node: str, sequence: int) -> int:
    """Return the name of a claim as reports have it; one that was made on a node that is no more has none of them."""
    return claim_name(node, sequence) if sequence < ELSEWHERE else -sequence


def _check_count(name: str, value: object, at_least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not at_least <= value <= _COUNT_MAX:
        raise UsageError(f"{name}={value!r}: expected a whole number from {at_least} to {_COUNT_MAX}")


def _split(number: int, note: ChildReport | None, held: Sequence[Holding]) -> Iterator[_Held]:
    """Yield what a child holds, and say which of it runs.

    A child that runs many at once has begun all that it holds.

    The note of another may be two seconds old. Where it speaks of another claim, or of a message that has ended, the
    first that is still held is the one that runs: a child begins what it claimed, at once and in order.
    """
    pid = note.pid if note is not None else 0
    many = note is not None and note.many
    begun = dict(note.begun) if note is not None else {}
    running = True
    if note is not None and not many:
        # of claims on several nodes, the noted one comes first
        held = sorted(held, key=lambda holding: holding.sequence != note.sequence)
    for holding in held:
        at = holding.sequence, holding.position
        if note is not None and not many and (note.sequence, 0) < at < (note.sequence, note.position):
            continue  # it has ended; its outcome is on its way
        if running:
            noted = note is not None and (holding.sequence, holding.position) == (
                note.sequence,
                note.position,
            )
            started_ms = note.started_ms if note is not None and noted else 0
            yield _Held(number, pid, holding, begun.get(holding.sequence, started_ms))
            running = many
        else:
            yield _Held(number, pid, holding, None)


def _begun(started_ms: int | None, now_ms: int) -> dict[str, Any]:
    if not started_ms:
        return {"started": None, "age_s": None}
    return {"started": as_iso(started_ms), "age_s": round(max(0, now_ms - started_ms) / 1000, 3)}


def as_iso(ms: int) -> str | None:
    """Return a moment as ISO 8601, UTC; None for none."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds") if ms else None


def _told_apart(found: Sequence[Worker]) -> list[Worker]:
    """Return the workers, with a part of the incarnation behind each name that two of them have."""
    count = Counter(worker.name for worker in found)
    return [
        worker
        if count[worker.name] == 1
        else replace(worker, name=f"{worker.name} ({worker.incarnation[:6]})")
        for worker in found
    ]
