"""The supervisor: keeps the children alive and the lease of what they hold.

It never imports the app and runs no user code, so nothing a task does can stop its heartbeat. One
thread, one loop: what the nursery says, what the clock says, what a signal says. (Another writes its log.)

A worker may live several times: one that was stopped for so long that others took over what it held begins
a new life, with a new incarnation, new children and a new page.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

import msgspec

from taskmesh.codec.control import TERMINATE
from taskmesh.errors import NodeFault, NodeUnavailable, TaskMeshError, is_usage
from taskmesh.nodes.link import ONE_NODE
from taskmesh.queue.workers import Serves
from taskmesh.worker.about import worker_info
from taskmesh.worker.autoscale import make_autoscaler
from taskmesh.worker.brood import RECALL_S
from taskmesh.worker.early import let, taken
from taskmesh.worker.first_word import first_word
from taskmesh.worker.hearing import Hearing
from taskmesh.worker.joining import Joining
from taskmesh.worker.logs import follow, set_up_logging
from taskmesh.worker.mesh_presence import make_presence
from taskmesh.worker.new_life import new_brood
from taskmesh.worker.nursery import Began, Ended, Lost, Nursery, Template, make_nursery
from taskmesh.worker.options import MeshFacts, WorkerOptions, pools_for
from taskmesh.worker.orders import SHUTDOWN
from taskmesh.worker.own_line import own_line
from taskmesh.worker.own_link import own_link
from taskmesh.worker.patient_stream import be_patient
from taskmesh.worker.pools import Pool, in_words, queues_of
from taskmesh.worker.presence import DeclaredDead, Presence
from taskmesh.worker.sources import LOOK_S as SOURCES_S
from taskmesh.worker.sources import Sources
from taskmesh.worker.standing import WorkerStanding
from taskmesh.worker.termination import terminations
from taskmesh.worker.vitals import IMPORTING, JOINING, RELOADING, STOPPING, WAITING, Vitals
from taskmesh.worker.words import AFTERWARDS, tasks_in_words

if TYPE_CHECKING:
    from taskmesh.worker.probes import WorkerProbes

log = logging.getLogger("taskmesh.worker")

#: How often the page is looked at while messages wait behind others.
LOOK_S = 0.02
#: How long a new child may be missing in what the worker publishes.
SHOW_S = 0.1
#: How often orders are read, and how often it tries to register again.
ORDERS_S, REGISTER_AGAIN_S = 0.5, 0.2
#: How long killed children, and a node that should take back what they held, may keep the worker.
LAST_WORDS_S = 3.0
#: And how long the node may, when all children have ended by themselves.
LEAVE_S = 1.0


class Supervisor:
    """One worker."""

    def __init__(self, options: WorkerOptions, *, who: str = "taskmesh worker") -> None:
        """Prepare; `run` does the rest.

        Args:
            options: Of the worker.
            who: As its errors begin.
        """
        self._who = who
        self._signals = 0
        self._joining: Joining | None = None
        self._stop_by: float | None = None
        self._leave_by: float | None = None
        self._exit_code = 0
        self._sources = Sources(options.reload_dirs) if options.reload else None
        self._look_at_sources_at_s = 0.0
        self._is_reloading = False
        self._next_orders = 0.0
        self._name = options.name or f"{socket.gethostname()}-{os.getpid()}"
        self._options = msgspec.structs.replace(options, name=self._name)
        self._vitals = Vitals(self._options)
        self._probes: WorkerProbes | None = None

    # -- life ---------------------------------------------------------------------

    def run(self) -> int:
        """Work until told to stop, and return the exit code: 0 clean, 1 failure, 2 usage."""
        self._wakeup, wakeup_w = os.pipe()
        os.set_blocking(wakeup_w, False)
        signal.set_wakeup_fd(wakeup_w, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        let()
        self._signals += taken()
        if self._signals:
            return 0
        set_up_logging(self._options.log_level or "INFO", self._options.log_format)
        try:
            self._exit_code = self._run_app()
            while self._is_to_reload():
                self._exit_code = self._run_app()
        finally:
            if self._probes is not None:
                self._probes.close()
        return self._exit_code

    def _run_app(self) -> int:
        """Import the app and work, until told to stop or until its sources have changed."""
        template = Template(self._options)
        nursery: Nursery | None = None
        self._vitals.enters(IMPORTING)
        try:
            self._open_probes(self._options.probes)
            facts = self._hear_facts(template)
            if facts is None:
                return self._exit_code
            self._vitals.knows(facts)
            if self._options.probes is None:
                self._open_probes(facts.probes)
            follow(self._options, facts)
            nursery = make_nursery(template, self._options, facts)
            self._vitals.template_pid = template.pid
            return self._work(facts, nursery)
        except TaskMeshError as error:
            sys.stderr.write(own_line(self._who, str(error)))
            return 2 if is_usage(error) else 1
        finally:
            (nursery or template).close()

    def _open_probes(self, where: str | None) -> None:
        if where and self._probes is None:
            from taskmesh.worker.probes import WorkerProbes  # workers without probes are spared what it needs

            self._probes = WorkerProbes(self._vitals, self._name, where)

    def _on_signal(self, _signum: int, _frame: FrameType | None) -> None:
        self._signals += 1
        if self._joining is not None:
            self._joining.interrupt()

    def _hear_facts(self, template: Template) -> MeshFacts | None:
        """Wait for the template to have imported the app."""
        told = first_word(template.wire, self._wakeup, lambda: self._signals > 0, self._vitals.turned)
        if told is None:
            return None
        if "ready" in told:
            facts = msgspec.convert(told["ready"], MeshFacts)
            self._watch(facts.sources)
            return facts
        if told:
            self._vitals.problem = told["failed"].strip()
            sys.stderr.write(own_line(self._who, told["failed"]))
        else:
            self._vitals.problem = f"the process that imports {self._options.app} died before it was done"
            log.error("%s", self._vitals.problem)
        self._watch(told.get("sources", ()), self._options.path)
        self._exit_code = 2 if told.get("usage") else 1
        return None

    def _work(self, facts: MeshFacts, nursery: Nursery) -> int:
        self._facts = facts
        self._nursery = nursery
        self._link = self._vitals.link = link = own_link(facts)
        self._vitals.enters(JOINING)
        self._joining = Joining(
            link, self._name, self._must_end, self._pause, within_s=facts.startup_timeout_s
        )
        if not self._joining.run():
            return self._exit_code
        self._pools = pools_for(self._options, facts)
        self._queues = queues_of(self._pools)
        self._hearing = Hearing(facts.broker, facts.mesh, self._name, tell=self._vitals.hears)
        self._hearing.check(self._queues, burst=self._options.burst)
        self._make_presence = partial(
            make_presence,
            link,
            self._name,
            Serves(facts.build, self._queues, facts.tasks),
            lease_ttl_s=facts.lease_ttl_s,
            max_crashes=facts.max_crashes,
            dead_expires_s=facts.dead_expires_s,
            reach=self._vitals.reach,
        )
        self._begin_life_if_possible()
        log.info(
            "worker %s of mesh %r: %s on %s, queues %s, %s",
            self._name,
            facts.mesh,
            in_words(self._pools_now()),
            link.driver.address if link.nodes == ONE_NODE else f"{len(link.nodes)} nodes",
            ", ".join(self._queues),
            tasks_in_words(facts.tasks, facts.task_queues, self._queues),
        )
        self._presence.warn_of_namesakes()
        self._standing = WorkerStanding(link, self._name, self._options, facts, self._hearing.broker).start()
        self._vitals.leads = self._standing.leads
        try:
            self._loop()
        finally:
            self._standing.join()
            self._hearing.close()
            self._brood.close()
            link.end()
        return self._exit_code

    def _must_end(self) -> bool:
        return self._signals > 0 or (bool(self._options.parent) and os.getppid() != self._options.parent)

    def _begin_life(self) -> None:
        """Make a new incarnation, and register it; raises `NodeUnavailable` if it is not registered yet."""
        self._presence = presence = self._make_presence()
        self._brood = new_brood(
            self._link,
            self._nursery,
            presence,
            self._options,
            self._facts,
            self._pools,
            self._vitals.tally,
            hearing=self._hearing,
        )
        self._vitals.begins(self._brood)
        self._hearing.begin(self._link, presence.incarnation, self._queues, self._brood)
        self._autoscaler = make_autoscaler(self._options, self._link, self._queues, self._name)
        self._since_ms = int(time.time() * 1000)
        self._next_beat = time.monotonic() + presence.beat_s
        self._register()

    def _heed_growth(self) -> None:
        """Live on all nodes, under the same name, once the only one is one of several; children see to themselves."""
        before = self._presence
        if self._link.several is None or not isinstance(before, Presence):
            return
        self._presence = after = self._make_presence(before=before)
        self._brood.is_buried_by(after.undertaker)
        self._next_beat = time.monotonic()  # which registers

    def _register(self) -> None:
        self._presence.register(self._info(), self._brood.report(time.monotonic()))
        self._vitals.is_registered = True

    def _pools_now(self) -> tuple[Pool, ...]:
        """Return the pools with the sizes that they have now."""
        if self._autoscaler is None:
            return self._pools
        return (msgspec.structs.replace(self._pools[0], slots=self._brood.size),)

    def _info(self) -> bytes:
        pools = self._pools_now()
        return worker_info(
            self._name,
            self._options.app,
            self._facts.place,
            self._queues,
            sum(pool.slots for pool in pools),
            self._facts.build,
            pools=pools,
            tasks=self._facts.tasks,
            strategy=self._facts.strategy,
            weights=self._options.weights,
            since_ms=self._since_ms,
        )

    def _scale(self, now_s: float) -> None:
        """Have more or fewer children, where that was asked for."""
        if self._autoscaler is None or not self._autoscaler.look(self._brood, now_s):
            return
        try:
            self._presence.tell(self._info())
        except NodeUnavailable as error:
            log.warning("the mesh does not know yet how many children there are: %s", error)

    def _begin_anew(self) -> None:
        """Leave the life in which others have declared this worker dead, and begin another."""
        log.warning("worker %s was declared dead by another; it begins anew", self._name)
        self._brood.disperse()
        if self._stop_by is None:  # else nothing is held any more
            self._begin_life_if_possible()

    def _begin_life_if_possible(self) -> None:
        """Begin a life; if the node is away just now, register with the first beat that reaches it."""
        try:
            self._begin_life()
        except NodeUnavailable as error:
            self._next_beat = time.monotonic() + REGISTER_AGAIN_S
            log.warning("%s; trying again", error)

    # -- reloading ----------------------------------------------------------------

    def _watch(self, files: Sequence[str], folders: Sequence[str] = ()) -> None:
        if self._sources is not None:
            self._sources.watch(files, folders)

    def _look_at_sources(self, now_s: float) -> None:
        """Stop, to import the app again, when its sources have changed."""
        if self._sources is None or self._stop_by is not None or now_s < self._look_at_sources_at_s:
            return
        self._look_at_sources_at_s = now_s + SOURCES_S
        changed = self._sources.changed()
        if changed:
            log.info("%s has changed: worker %s imports its app again", changed, self._name)
            self._is_reloading = True
            self._stop_gently(now_s)

    def _is_to_reload(self) -> bool:
        """Tell whether the app is to be imported again; waits for a change of it if it does not work as it is."""
        if self._sources is None or self._signals or not (self._is_reloading or self._exit_code):
            return False
        if not self._is_reloading:
            log.info("worker %s waits for a change of its sources", self._name)
            self._vitals.enters(WAITING)
            while not (self._signals or self._sources.changed()):
                self._pause(SOURCES_S)
        self._is_reloading = False
        self._stop_by = self._leave_by = None
        self._exit_code = 0
        return not self._signals

    # -- the loop -----------------------------------------------------------------

    def _loop(self) -> None:
        while True:
            now_s = time.monotonic()
            self._heed_signals(now_s)
            self._look_at_sources(now_s)
            self._heed_growth()
            if self._stop_by is None and self._presence.is_registered:
                self._scale(now_s)
                self._brood.tend(now_s)
            if self._is_over(now_s):
                break
            self._wait(now_s)
            for news in self._nursery.news():
                if isinstance(news, Lost):
                    self._template_died()
                self._brood.hear(news)
                if isinstance(news, Ended) and self._link.several is None:
                    self._next_beat = 0.0  # it may have ended since there are several by now
                if isinstance(news, Began):
                    # or nobody who looks would know of it until the next beat
                    self._next_beat = min(self._next_beat, time.monotonic() + SHOW_S)
            if self._stop_by is not None and self._leave_by is None and not self._brood.has_children():
                self._leave_by = time.monotonic() + LEAVE_S  # the grace was for them
            self._brood.reap(time.monotonic())
            if self._stop_by is not None and self._brood.has_dead():
                self._pause(LOOK_S)
                continue  # the node does not answer: nothing else is asked of it
            self._brood.recall_waiting(time.monotonic())
            self._brood.endings.look(time.monotonic())
            if self._brood.disowned:
                self._begin_anew()
            if time.monotonic() >= self._next_beat:
                self._beat()
            if time.monotonic() >= self._next_orders:
                self._heed_orders()
        self._leave()

    def _heed_signals(self, now_s: float) -> None:
        """Stop when told to, or at once when told twice or when the one who started us is gone."""
        if not self._signals and self._must_end():
            log.warning("the process that started worker %s is gone; it ends at once", self._name)
            self._signals = 2
        if self._signals and self._stop_by is None:
            self._stop_gently(now_s)
        elif self._signals:
            self._vitals.enters(STOPPING)  # it may have been about to reload
        if self._stop_by is None or self._leave_by is not None:
            return
        if self._signals > 1 or now_s >= self._stop_by:
            self._leave_by = now_s + LAST_WORDS_S
            self._brood.kill()

    def _stop_gently(self, now_s: float) -> None:
        grace_s = self._options.grace_s if self._options.grace_s >= 0 else self._facts.grace_s
        self._stop_by = now_s + grace_s
        self._vitals.enters(RELOADING if self._is_reloading else STOPPING)
        self._standing.stop()  # others lead while the tasks here finish
        self._hearing.stop()
        if self._is_reloading:
            log.info("running tasks have %g s to finish before that", grace_s)
        else:
            log.info(
                "worker %s stops: running tasks have %g s to finish; %s", self._name, grace_s, AFTERWARDS
            )
        self._brood.stop()

    def _is_over(self, now_s: float) -> bool:
        brood = self._brood
        if self._leave_by is not None and now_s >= self._leave_by:
            if not brood.is_empty():
                log.warning("what worker %s held goes back in line when its lease ends", self._name)
            return True
        if self._stop_by is not None:
            return brood.is_empty()
        if brood.cannot_start():
            log.error("no child of worker %s can start; the reason stands above", self._name)
            self._exit_code = 1
            return True
        return brood.is_done()

    def _wait(self, now_s: float) -> None:
        next_s = min(self._next_beat, self._next_orders, self._brood.endings.next_s())
        timeout_s = min(RECALL_S, max(0.0, next_s - now_s))
        if self._brood.has_waiting():
            timeout_s = min(LOOK_S, timeout_s)
        self._pause(timeout_s, self._nursery.watched())

    def _pause(self, timeout_s: float, watched: Sequence[int] = ()) -> None:
        """Wait until there may be news, or a signal."""
        self._vitals.turned()
        ready, _, _ = select.select([*watched, self._wakeup], [], [], timeout_s)
        if self._wakeup in ready:
            os.read(self._wakeup, 4096)

    def _template_died(self) -> None:
        """Without it nobody can start or reap children: leave, once what they held is back in line."""
        if self._stop_by is None:
            log.error(
                "the template of worker %s died; the worker ends and its messages go back in line", self._name
            )
            self._exit_code = 1
            self._stop_by = time.monotonic()
            self._vitals.enters(STOPPING)

    def _beat(self) -> None:
        presence = self._presence
        self._next_beat = time.monotonic() + presence.beat_s
        try:
            if not presence.is_registered:
                self._register()
            presence.beat(self._brood.holders(), self._brood.report(time.monotonic()))
            if out_s := self._vitals.reached():
                log.info("the node answers worker %s again, after %.1f s", self._name, out_s)
        except NodeUnavailable as error:
            presence.missed()
            self._vitals.missed()
            log.warning("%s", error)
        except DeclaredDead:
            self._begin_anew()
        except NodeFault:
            # should it last, others take over and this worker begins anew
            presence.missed()
            log.exception("worker %s cannot beat", self._name)

    def _heed_orders(self) -> None:
        """Do what signed orders say. A node that does not answer is asked again after the next beat."""
        self._next_orders = time.monotonic() + ORDERS_S
        try:
            orders = self._presence.orders()
        except (NodeUnavailable, NodeFault) as error:
            self._next_orders = self._next_beat + ORDERS_S
            log.debug("orders cannot be read: %s", error)
            return
        for order in orders:
            if order.action == SHUTDOWN:
                log.info("worker %s is told to stop by %s", self._name, order.sender)
                self._signals += 1
            elif order.action == TERMINATE:
                for termination in terminations(order):
                    self._brood.endings.terminate(termination)

    def _leave(self) -> None:
        try:
            # a node that does not take back what it held is not asked more
            if self._brood.is_empty() and not self._presence.leave():
                log.warning(
                    "worker %s still holds messages; they go back in line when its lease ends", self._name
                )
        except NodeUnavailable as error:
            log.warning("this worker stays listed until its lease ends: %s", error)
        if not self._is_reloading or self._signals:
            log.info("worker %s has stopped", self._name)


def main(argv: list[str]) -> int:
    """Run a supervisor: `python -m taskmesh.worker OPTIONS`."""
    stream = be_patient()
    try:
        return Supervisor(msgspec.json.decode(argv[0], type=WorkerOptions)).run()
    finally:
        if stream is not None:
            stream.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
