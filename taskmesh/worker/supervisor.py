"""The supervisor: keeps the children alive and the lease of what they hold.

It never imports the app and runs no user code, so nothing a task does can stop its heartbeat. One
thread, one loop: what the template says, what the clock says, what a signal says.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from types import FrameType
from typing import Any

import msgspec

from taskmesh.codec.keyring import Keyring
from taskmesh.errors import NodeFault, NodeUnavailable, TaskMeshError
from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.link import Link
from taskmesh.queue.claim import recall
from taskmesh.queue.control import take_orders
from taskmesh.queue.workers import beat, bury, register, unpark
from taskmesh.replication.ask import plain
from taskmesh.worker.options import (
    EXIT_BURST_DONE,
    EXIT_CANNOT_START,
    EXIT_DECLARED_DEAD,
    ChildOrder,
    MeshFacts,
    WorkerOptions,
)
from taskmesh.worker.orders import Orders
from taskmesh.worker.page import Page, make_page
from taskmesh.worker.process import set_up_logging
from taskmesh.worker.undertaker import Undertaker, worker_info
from taskmesh.worker.wake import wake
from taskmesh.worker.watch import Watch
from taskmesh.worker.wire import Wire

log = logging.getLogger("taskmesh.worker")

#: A slow task gives up what waits behind it after so long.
RECALL_S = 0.05
#: How often the page is looked at.
LOOK_S = 0.02
#: A child that ends sooner than this after its start is started again only after a pause.
SHORT_LIFE_S = 1.0
RESTART_S_MAX = 5.0
#: Above so much of the node's memory, results are kept shorter.
PRESSURE_FROM = 0.8
#: How much sooner they are removed when the memory is full.
PRESSURE_SWEEP_S = 7200


class _Child:
    """A child as its supervisor knows it."""

    __slots__ = ("number", "order", "pid", "place", "recalled", "since_s")

    def __init__(self, order: ChildOrder) -> None:
        self.order = order
        self.number = order.number
        self.place = order.place
        self.pid = 0
        self.since_s = time.monotonic()
        self.recalled = -1


class Supervisor:
    """One worker."""

    def __init__(self, options: WorkerOptions) -> None:
        """Prepare; `run` does the rest."""
        self._options = options
        self._signals = 0
        self._children: dict[int, _Child] = {}
        self._next_number = 0
        self._free: list[int] = []
        self._restart_at: list[tuple[float, int]] = []
        self._restart_s = 0.0
        self._failed_starts = 0
        self._burst_done = 0
        self._exit_code = 0
        self._name = options.name or f"{socket.gethostname()}-{os.getpid()}"

    # -- life ---------------------------------------------------------------------

    def run(self) -> int:
        """Work until told to stop, and return the exit code: 0 clean, 1 failure, 2 usage."""
        wakeup_r, wakeup_w = os.pipe()
        os.set_blocking(wakeup_w, False)
        signal.set_wakeup_fd(wakeup_w, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        self._wakeup = wakeup_r
        set_up_logging(self._options.log_level or "INFO")
        template = self._start_template()
        try:
            facts = self._hear_facts()
            if facts is None:
                return self._exit_code
            self._facts = facts
            if not self._options.log_level:
                set_up_logging(facts.log_level)
            return self._work(facts)
        finally:
            self._wire.socket.close()
            self._end(template)

    def _on_signal(self, _signum: int, _frame: FrameType | None) -> None:
        self._signals += 1

    def _start_template(self) -> subprocess.Popen[bytes]:
        ours, theirs = socket.socketpair()
        self._wire = Wire(ours)
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "taskmesh.cli.template",
                str(theirs.fileno()),
                msgspec.json.encode(self._options).decode(),
                str(os.getpid()),
            ],
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()
        return process

    def _hear_facts(self) -> MeshFacts | None:
        """Wait for the template to have imported the app."""
        while not self._signals:
            ready, _, _ = select.select([self._wire.fileno(), self._wakeup], [], [])
            if self._wire.fileno() not in ready:
                continue
            messages, _ = self._wire.receive()
            if self._wire.is_closed():
                log.error("the process that imports %s died before it was done", self._options.app)
                self._exit_code = 1
                return None
            for message in messages:
                if "failed" in message:
                    sys.stderr.write(f"taskmesh worker: {message['failed']}\n")
                    self._exit_code = 2 if message["usage"] else 1
                    return None
                return msgspec.convert(message["ready"], MeshFacts)
        return None

    def _end(self, template: subprocess.Popen[bytes]) -> None:
        """Wait for the template, which ends when its socket is closed."""
        try:
            template.wait(5)
        except subprocess.TimeoutExpired:
            template.kill()
            template.wait()

    # -- working ------------------------------------------------------------------

    def _work(self, facts: MeshFacts) -> int:
        link = Link(
            facts.mesh,
            lambda: NodeAddress(facts.url, embedded=facts.mesh if facts.embedded else ""),
            lambda: Keyring.parse(facts.keyring),
            slots=facts.slots,
            connect_timeout_s=1.0,
            answer_timeout_s=2.0,
            before_connect=self._ensure_embedded if facts.embedded else None,
        )
        self._link = link
        try:
            link.open()
            self._queues = list(self._options.queues) or [facts.default_queue]
            self._concurrency = self._options.concurrency or facts.concurrency
            self._page_fd = make_page(self._concurrency)
            self._page = Page(self._page_fd)
            self._begin_life()
        except TaskMeshError as error:
            sys.stderr.write(f"taskmesh worker: {error}\n")
            return 1
        log.info(
            "worker %s of mesh %r: %d %s on %s, queues %s, tasks %d",
            self._name,
            facts.mesh,
            self._concurrency,
            "child" if self._concurrency == 1 else "children",
            link.driver.address,
            ", ".join(self._queues),
            len(facts.tasks),
        )
        self._free = list(range(self._concurrency))
        try:
            self._loop()
        finally:
            os.close(self._page_fd)
            link.close()
        return self._exit_code

    def _ensure_embedded(self) -> None:
        from taskmesh.nodes.embedded import ensure_running

        ensure_running(self._facts.mesh)

    def _begin_life(self) -> None:
        """Register a new incarnation: at the start, and after having been declared dead."""
        facts, session = self._facts, self._link.session
        self._incarnation = os.urandom(8).hex().encode()
        self._beat_s = min(2.0, facts.lease_ttl_s / 5)
        self._next_beat = time.monotonic() + self._beat_s
        self._watch = Watch(facts.lease_ttl_s, self._beat_s)
        self._undertaker = Undertaker(
            self._link, self._incarnation, self._name, max_crashes=facts.max_crashes
        )
        self._orders = Orders(self._link.controls, self._name)
        info = worker_info(
            self._name, self._options.app, facts.place, self._queues, self._concurrency, facts.build
        )
        self._link.run(register(session, self._incarnation, info))
        self._link.run(unpark(session, facts.build.encode()))
        self._look_at_others()

    def _loop(self) -> None:
        stopping_until: float | None = None
        while True:
            now_s = time.monotonic()
            if self._signals and stopping_until is None:
                grace_s = self._options.grace_s if self._options.grace_s >= 0 else self._facts.grace_s
                stopping_until = now_s + grace_s
                log.info("worker %s stops: running tasks have %g s to finish", self._name, grace_s)
                self._stop_children()
            if stopping_until is not None and (self._signals > 1 or now_s >= stopping_until):
                self._kill_children()
                stopping_until = float("inf")
                self._signals = 1
            if stopping_until is None:
                self._start_children(now_s)
            if not self._children and (stopping_until is not None or self._is_over()):
                break
            self._wait(now_s)
            self._recall_waiting(time.monotonic())
            if time.monotonic() >= self._next_beat:
                self._beat()
        self._bury_self()

    def _is_over(self) -> bool:
        if self._failed_starts >= 3 and self._failed_starts >= self._concurrency:
            log.error("no child of worker %s can start; the reason stands above", self._name)
            self._exit_code = 1
            return True
        return self._wire.is_closed() or (self._options.burst and self._burst_done >= self._concurrency)

    def _wait(self, now_s: float) -> None:
        busy = any(self._page.read(child.place).waiting for child in self._children.values())
        timeout_s = LOOK_S if busy else min(RECALL_S, max(0.0, self._next_beat - now_s))
        ready, _, _ = select.select(
            [self._wakeup] if self._wire.is_closed() else [self._wire.fileno(), self._wakeup],
            [],
            [],
            timeout_s,
        )
        if self._wakeup in ready:
            os.read(self._wakeup, 4096)
        if not self._wire.is_closed() and self._wire.fileno() in ready:
            messages, _ = self._wire.receive()
            if self._wire.is_closed():
                self._template_died()
            for message in messages:
                if "forked" in message:
                    self._child_forked(message["forked"], message["pid"])
                else:
                    self._child_ended(message["ended"], message["code"])

    # -- children -----------------------------------------------------------------

    def _start_children(self, now_s: float) -> None:
        for due_s, place in list(self._restart_at):
            if now_s >= due_s:
                self._restart_at.remove((due_s, place))
                self._free.append(place)
        if self._wire.is_closed() or (self._options.burst and self._burst_done):
            self._free.clear()
        while self._free:
            place = self._free.pop(0)
            self._next_number += 1
            self._page.clear(place)
            order = ChildOrder(
                incarnation=self._incarnation.decode(),
                number=self._next_number,
                place=place,
                worker=self._name,
                queues=tuple(self._queues),
                burst=self._options.burst,
                log_level=self._options.log_level,
            )
            self._children[order.number] = _Child(order)
            self._wire.send({"fork": msgspec.to_builtins(order)}, (self._page_fd,))

    def _child_forked(self, number: int, pid: int) -> None:
        child = self._children[number]
        child.pid = pid
        if self._signals:
            self._signal(child, signal.SIGTERM)

    def _child_ended(self, pid: int, code: int) -> None:
        child = next((child for child in self._children.values() if child.pid == pid), None)
        if child is None:
            return
        del self._children[child.number]
        if code == EXIT_DECLARED_DEAD:
            self._declared_dead()
            return
        if code == EXIT_BURST_DONE:
            self._burst_done += 1
        elif code != 0 and not self._signals:
            how = f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"
            log.warning("child %d of worker %s died by %s", child.number, self._name, how)
        note = self._page.read(child.place) if code != 0 and not self._signals else None
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        self._reap(child, note, how)
        if code == EXIT_CANNOT_START:
            self._failed_starts += 1
        elif code != EXIT_BURST_DONE:
            self._failed_starts = 0
        if code == EXIT_BURST_DONE:
            return
        short = time.monotonic() - child.since_s < SHORT_LIFE_S
        self._restart_s = min(RESTART_S_MAX, max(0.05, self._restart_s * 2)) if short else 0.0
        if code == EXIT_CANNOT_START and self._failed_starts >= 3:
            return
        self._restart_at.append((time.monotonic() + self._restart_s, child.place))

    def _reap(self, child: _Child, note: Any, how: str) -> None:
        queues = [queue.encode() for queue in self._queues]
        while True:
            try:
                count = self._undertaker.child_died(child.order.holder, queues, note, how)
            except NodeUnavailable as error:
                if self._signals > 1:
                    log.warning("what child %d held is released when the lease ends: %s", child.number, error)
                    return
                log.warning("%s; trying again", error)
                continue
            if count:
                log.info("%d messages of child %d are back in line", count, child.number)
            return

    def _signal(self, child: _Child, signum: int) -> None:
        try:
            os.kill(child.pid, signum)
        except ProcessLookupError:
            return  # it has ended; the template is about to say so

    def _stop_children(self) -> None:
        for child in self._children.values():
            if child.pid:
                self._signal(child, signal.SIGTERM)
        try:
            self._link.run(
                wake(self._link.session, [child.order.holder for child in self._children.values()])
            )
        except NodeUnavailable as error:
            log.debug("idle children look by themselves within a second: %s", error)

    def _kill_children(self) -> None:
        if self._children:
            log.warning(
                "worker %s ends %d running %s now; what they ran goes back in line, not charged",
                self._name,
                len(self._children),
                "task" if len(self._children) == 1 else "tasks",
            )
        for child in self._children.values():
            if child.pid:
                self._signal(child, signal.SIGKILL)

    def _template_died(self) -> None:
        """Without it nobody can fork or reap: end the children, and leave."""
        if self._signals:
            return
        log.error(
            "the template of worker %s died; the worker ends and its messages go back in line", self._name
        )
        self._exit_code = 1
        for child in list(self._children.values()):
            if child.pid:
                self._signal(child, signal.SIGKILL)
            self._reap(child, None, "")
        self._children.clear()

    # -- the mesh -----------------------------------------------------------------

    def _recall_waiting(self, now_s: float) -> None:
        """Take back what waits behind a task that turns out slow."""
        for child in self._children.values():
            note = self._page.read(child.place)
            if not note.waiting or note.sequence == child.recalled or now_s - note.started_s < RECALL_S:
                continue
            child.recalled = note.sequence
            self._page.set_recalled(child.place, note.sequence)
            # read again: the child looks at the flag after it has noted where it is
            note = self._page.read(child.place)
            if note.sequence != child.recalled or not note.position:
                continue
            try:
                count = self._link.run(
                    recall(
                        self._link.session, child.order.holder, note.sequence, note.position, patience_s=1.0
                    )
                )
            except NodeUnavailable as error:
                log.warning("messages behind a slow task are given back by its child when it ends: %s", error)
                continue
            log.debug("%d messages behind a slow task are back in line", count)

    def _beat(self) -> None:
        self._next_beat = time.monotonic() + self._beat_s
        try:
            self._link.measure_clock()
            self._look_at_others()
            self._obey()
        except NodeUnavailable as error:
            self._watch.missed()
            log.warning("%s", error)
        except NodeFault as error:
            if "DEADWORKER" not in str(error):
                raise
            self._declared_dead()

    def _look_at_others(self) -> None:
        session = self._link.session
        ahead_s = sweep_ahead_s(self._link.run(plain(session, b"INFO", b"memory")))
        beats = self._link.run(beat(session, self._incarnation, sweep_ahead_s=ahead_s))
        others = [found for found in beats if found.incarnation != self._incarnation]
        over = self._watch.read(others, time.monotonic())
        for found in others:
            if (
                found.state == "live"
                and found not in over
                and self._undertaker.is_gone_from_this_host(found.incarnation)
            ):
                over.append(found)
        # when most vanish at once, the cause is not what they were running
        blame = len(over) * 2 <= self._watch.known + 1
        dead = [found for found in others if found.state == "dead"]
        for found in over:
            if self._undertaker.declare(found.incarnation, found.count):
                log.warning("worker %s is declared dead", found.incarnation.decode())
                dead.append(found)
        for found in dead:
            count = self._undertaker.worker_died(found.incarnation, blame=blame)
            log.info("%d messages of the dead worker %s are back in line", count, found.incarnation.decode())

    def _obey(self) -> None:
        """Obey the orders of operators."""
        wires = self._link.run(take_orders(self._link.session, self._incarnation))
        for order in self._orders.accept(wires, self._link.clock.now_ms()):
            log.info("worker %s is told to stop by %s", self._name, order.sender)
            self._signals += 1

    def _declared_dead(self) -> None:
        """Others have taken over what this worker held: end the children and begin a new life."""
        log.warning("worker %s was declared dead by another; it begins anew", self._name)
        for child in self._children.values():
            if child.pid:
                self._signal(child, signal.SIGKILL)
            self._free.append(child.place)
        self._children.clear()
        self._free = list(range(self._concurrency))
        self._restart_at.clear()
        self._begin_life()

    def _bury_self(self) -> None:
        try:
            self._link.run(bury(self._link.session, self._incarnation))
        except NodeUnavailable as error:
            log.warning("this worker stays listed until its lease ends: %s", error)
        log.info("worker %s has stopped", self._name)


def sweep_ahead_s(info: bytes) -> int:
    """Return how much sooner than due results are removed, from the node's own account of its memory."""
    facts = dict(line.split(b":", 1) for line in info.split(b"\r\n") if b":" in line)
    limit = int(facts.get(b"maxmemory", b"0"))
    share = int(facts.get(b"used_memory", b"0")) / limit if limit else 0.0
    return int(max(0.0, min(1.0, (share - PRESSURE_FROM) / (1 - PRESSURE_FROM))) * PRESSURE_SWEEP_S)


def main(argv: list[str]) -> int:
    """Run a supervisor: `python -m taskmesh.worker.supervisor OPTIONS`."""
    return Supervisor(msgspec.json.decode(argv[0], type=WorkerOptions)).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
