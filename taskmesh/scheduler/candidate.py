"""A process that stands for leader, and does the leader's work while it is: threads beside whatever else it does.

One thread takes part in the election; another, which lasts as long as the lead, works. Neither imports the app.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

from taskmesh.coordination.candidacy import LOOK_BACK_S, LOOK_S, Candidacy
from taskmesh.coordination.firing import schedule_register
from taskmesh.coordination.leader import Candidate, Tenure, least_token
from taskmesh.coordination.schedule import Schedule, unpack_schedule
from taskmesh.coordination.schedule_change import CHANGED, declare
from taskmesh.core import keys
from taskmesh.core.event import LEADER, Event
from taskmesh.errors import LeadershipLost, TaskMeshError
from taskmesh.nodes.embedded import running
from taskmesh.nodes.event_sender import EventSender
from taskmesh.nodes.lease_clock import lease_now_s
from taskmesh.nodes.node_watch import new_observer
from taskmesh.replication.ask import plain
from taskmesh.replication.join import embedded_generation, refresh
from taskmesh.scheduler.care import begin_care
from taskmesh.scheduler.fire import Firing
from taskmesh.scheduler.hindrance import Hindrance
from taskmesh.scheduler.node_threads import begin_node_care, begin_observing
from taskmesh.scheduler.teller import Teller

if TYPE_CHECKING:
    from taskmesh.broker.contract import Broker
    from taskmesh.nodes.agreement import Agreement
    from taskmesh.nodes.link import Link

log = logging.getLogger("taskmesh.scheduler")
#: How long to wait after something failed.
AGAIN_S = 0.5
#: How long what the leader does may keep it from resigning.
LAST_WORDS_S = 0.2
#: How long the end of all may take.
RESIGN_S = 1.0
#: How often a mesh of one node is looked at for others.
NODES_S = 1.0


class Standing:
    """One candidate's threads."""

    def __init__(
        self,
        link: Link,
        agreement: Agreement,
        name: str,
        *,
        declared: Sequence[Schedule] = (),
        is_candidate: bool = True,
        broker: Broker | None = None,
    ) -> None:
        """Prepare; `start` begins.

        Args:
            link: To the node.
            agreement: To the registers; used by these threads only, and closed at the end.
            name: Of this process, for people.
            declared: Schedules that stand in the app's code.
            is_candidate: False to see to those only.
            broker: Of the mesh, if it has one: its tickets are seen to.
        """
        self._link = link
        self._agreement = agreement
        self._name = name
        self._declared = declared
        self._is_candidate = is_candidate
        self._broker = broker
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self.run, name="taskmesh-candidate", daemon=True)
        self._work: threading.Thread | None = None
        self._candidacy: Candidacy | None = None
        self._teller: Teller | None = None
        self._events = EventSender(link)
        self._observer = new_observer()
        self._look_for_nodes_at_s = 0.0
        self._observes = False
        self._cares: Tenure | None = None
        self._hindrance = Hindrance(name, "take part in the election of the leader")

    @property
    def tenure(self) -> Tenure | None:
        """The lead of this process; None while another leads."""
        return self._candidacy.tenure if self._candidacy is not None else None

    @property
    def may_act(self) -> bool:
        """Whether it leads, and its lease lasts."""
        return self._candidacy is not None and self._candidacy.may_act

    @property
    def is_alive(self) -> bool:
        """Whether it still takes part, or sees to the schedules of the code."""
        return self._thread.is_alive()

    @property
    def hindrance(self) -> str:
        """What keeps it from taking part; empty if nothing does."""
        return self._hindrance.why or ("" if self._candidacy is not None else "it has not begun yet")

    @property
    def out_of_reach(self) -> str:
        """Of which slots messages cannot be taken, as far as looks at the nodes tell; empty if they can."""
        return self._observer.reach.why

    def start(self) -> Self:
        """Begin, and return this."""
        if self._is_candidate or self._declared:
            self._thread.start()
        return self

    def stop(self) -> None:
        """Begin to end: resign, if this process leads. `join` waits for it."""
        self._stopping.set()

    def join(self, within_s: float = RESIGN_S) -> None:
        """Wait for the end; another leads in any case when the lease has lapsed."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(within_s)

    # -- the election -----------------------------------------------------------------

    def run(self) -> None:
        """Take part until told to stop; `start` has a thread do so."""
        try:
            self._until_done(self._declare)
            if self._is_candidate:
                self._observe()
                self._until_done(self._enter)
                self._stand()
        except Exception:
            log.exception("%s is no candidate any more, for it met an error that nobody expected", self._name)
        finally:
            if self._teller is not None:
                self._teller.end()
            self._events.finish()
            self._agreement.close()

    def _until_done(self, what: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            try:
                what()
            except TaskMeshError as error:
                self._say(str(error))
                self._stopping.wait(AGAIN_S)
            else:
                return

    def _declare(self) -> None:
        """Have the schedules that stand in the code be in the registers."""
        for schedule in self._declared:
            register = schedule_register(schedule.name)
            changed = self._agreement.run(
                self._agreement.registers.change(
                    register, declare(schedule, self._link.clock.now_ms()), self._agreement.operation()
                )
            )
            if changed.answer == CHANGED:
                log.info("schedule %s: %s (%s)", schedule.name, schedule.when, schedule.zone)

    def _enter(self) -> None:
        chance = os.urandom(8).hex()
        self._candidacy = Candidacy(
            self._agreement.registers,
            Candidate(chance, self._name, f"{socket.gethostname()}:{os.getpid()}"),
            lease_now_s,
            lambda: int(time.time() * 1000),
            self._agreement.operation,
            self._token_min,
        )
        self._teller = Teller(self._link, self._candidacy.candidate, lambda: self.may_act).start()

    def _token_min(self) -> int:
        """Return the least token that a new leader may have: asked now, for the node may have been started anew."""
        link, session = self._link, self._link.session
        link.notice_several(within_s=1.0)
        if link.several is None:
            link.run(refresh(session), within_s=1.0)
        key = keys.leader(session.prefix)
        # whichever processes answer: it may be the leader for whom they wait, to be admitted
        known = link.ask_each(lambda: plain(session, b"GET", key), within_s=1.0)
        return least_token(embedded_generation(session.epoch), max(int(each or 0) for each in known))

    def _stand(self) -> None:
        candidacy = self._candidacy
        while candidacy is not None and not self._stopping.is_set():
            if self._teller is not None:
                candidacy.look_s = LOOK_BACK_S if self._teller.stands_back else LOOK_S
            wait_s = self._turn(candidacy)
            if self._teller is not None:
                self._teller.look()
            self._look_for_nodes()
            if candidacy.tenure is not None and self._work is None:
                self._begin_work(candidacy, candidacy.tenure)
            self._see_to_nodes(candidacy)
            self._stopping.wait(wait_s)
        self._leave()

    def _turn(self, candidacy: Candidacy) -> float:
        try:
            wait_s = self._agreement.run(candidacy.turn())
        except LeadershipLost as error:
            log.warning("%s: %s", self._name, error)
            return 0.0
        except TaskMeshError as error:
            self._say(str(error))
            return AGAIN_S
        self._hindrance.is_over(time.monotonic())
        return wait_s

    def _say(self, what: str) -> None:
        """Say what hinders, and where an embedded node is down, who starts it again."""
        mesh = self._link.driver.address.embedded
        if mesh and all(node.mesh != mesh for node in running()):
            what = (
                what.rstrip(".")
                + "; the embedded node does not run: the next worker or caller of the mesh starts it"
            )
        self._hindrance.met(what, time.monotonic())

    def _leave(self) -> None:
        work = self._work
        if work is not None:
            work.join(LAST_WORDS_S)
        if self._candidacy is not None and self._candidacy.tenure is not None:
            self._resign(self._candidacy)

    def _resign(self, candidacy: Candidacy) -> None:
        try:
            self._agreement.run(candidacy.resign())
            log.info("%s resigned as leader", self._name)
            self._tell("resigned: the next one begins at once")
        except TaskMeshError as error:
            log.warning("%s could not resign, another leads when its lease has lapsed: %s", self._name, error)

    def _tell(self, detail: str) -> None:
        """Tell whoever listens to events, without waiting for it."""
        self._events.tell(Event(LEADER, self._link.clock.now_ms(), worker=self._name, detail=detail))

    # -- the work ---------------------------------------------------------------------

    def _begin_work(self, candidacy: Candidacy, tenure: Tenure) -> None:
        log.info("%s leads: it fires schedules (token %d)", self._name, tenure.token)
        self._tell(f"leads, token {tenure.token}")
        self._work = threading.Thread(
            target=self._lead, args=(candidacy, tenure), name="taskmesh-leader", daemon=True
        )
        self._work.start()
        begin_care(self._agreement, lambda: self._leads(candidacy, tenure), self._stopping, self._broker)
        if self._broker is not None:
            from taskmesh.scheduler.ticket_sweep import begin_ticket_sweep

            begin_ticket_sweep(
                self._link, self._broker, lambda: self._leads(candidacy, tenure), self._stopping
            )

    def _look_for_nodes(self) -> None:
        """Find out, now and then, whether the only node has become one of several: a leader is needed for that."""
        now_s = time.monotonic()
        if self._link.several is not None or now_s < self._look_for_nodes_at_s:
            return
        self._look_for_nodes_at_s = now_s + NODES_S
        try:
            self._link.notice_several(within_s=1.0)
        except TaskMeshError as error:
            log.debug("cannot look whether there are several nodes: %s", error)

    def _observe(self) -> None:
        if self._link.several is not None and not self._observes:
            self._observes = True
            begin_observing(self._link, self._stopping, lambda: self.tenure is not None, self._observer)

    def _see_to_nodes(self, candidacy: Candidacy) -> None:
        """Look at the nodes of a mesh of several and, as leader, after them; of one there is nothing to look after."""
        self._observe()
        tenure = candidacy.tenure
        if tenure is not None and self._link.several is not None and tenure is not self._cares:
            self._cares = tenure
            begin_node_care(
                self._link,
                self._agreement,
                tenure.token,
                lambda: self._leads(candidacy, tenure),
                self._stopping,
                self._observer,
            )

    def _leads(self, candidacy: Candidacy, tenure: Tenure) -> bool:
        return candidacy.tenure is tenure and not self._stopping.is_set()

    def _lead(self, candidacy: Candidacy, tenure: Tenure) -> None:
        """Work until the lead is over."""

        def leads() -> bool:
            return self._leads(candidacy, tenure)

        firing: Firing | None = None
        hindered = False
        try:
            while leads():
                try:
                    if firing is None:
                        begun = Firing(
                            self._link,
                            self._agreement,
                            tenure,
                            lambda: leads() and candidacy.may_act,
                            f"schedule, by {self._name}",
                            self._broker,
                        )
                        begun.begin()
                        firing = begun
                    wait_s = firing.turn() if candidacy.may_act else LOOK_S
                except LeadershipLost as error:
                    log.warning("%s: %s", self._name, error)
                    self._resign(candidacy)
                    return
                except TaskMeshError as error:
                    if not hindered:
                        log.warning("schedules cannot be seen to for now: %s", error)
                    hindered, wait_s = True, AGAIN_S
                else:
                    if hindered and candidacy.may_act:
                        log.info("schedules are seen to again")
                        hindered = False
                self._stopping.wait(wait_s)
            if firing is not None and self._stopping.is_set():
                self._flush(firing)
        except Exception:
            log.exception("%s leaves the lead for good, for it met an error that nobody expected", self._name)
            self._stopping.set()
        finally:
            self._work = None

    def _flush(self, firing: Firing) -> None:
        try:
            firing.flush()
        except TaskMeshError as error:
            log.debug("cursors are not up to date: %s", error)


def declared_in(packed: Sequence[bytes]) -> list[Schedule]:
    """Return the schedules that stand in the app's code, as its importer has told them."""
    return [unpack_schedule(content) for content in packed]
