"""What the leader does beside schedules, for acceptors, settings, sessions and transactions.

Acceptors are admitted or replaced, what was deleted is left behind, settings hold, dead sessions are ended, decided
transactions are done.

In a thread, and on connections, of its own: an acceptor that is stopped costs whoever asks it some seconds, and neither
the lead nor a schedule must wait for that. A leader of before that goes on does no harm: acceptors are replaced by
agreement, and what follows a register is made to until both say the same.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from taskmesh.consensus.keeping import Kept
from taskmesh.errors import TaskMeshError
from taskmesh.nodes.acceptor_care import AcceptorCare
from taskmesh.nodes.operator_settings import OperatorSettings
from taskmesh.replication.view_parts import delete_outdated_parts
from taskmesh.scheduler.sweeping import Sweeping
from taskmesh.scheduler.transactions import Transactions

if TYPE_CHECKING:
    from taskmesh.broker.contract import Broker
    from taskmesh.consensus.admission import Standing
    from taskmesh.consensus.configuration import Configuration
    from taskmesh.nodes.agreement import Agreement

log = logging.getLogger("taskmesh.scheduler")
#: How often it looks.
CARE_S = 5.0
#: How often it deletes what is left of earlier views, and looks whether most registers are deleted.
COMPACT_S = 60.0


def begin_care(
    agreement: Agreement, leads: Callable[[], bool], stopping: threading.Event, broker: Broker | None = None
) -> None:
    """Look after acceptors, settings and sessions for as long as this process leads.

    Args:
        agreement: The leader's way to the registers; another one is made of it.
        leads: Whether the lead lasts.
        stopping: Is set when this process ends.
        broker: Of the mesh, if it has one: it is told of what is sent here.
    """
    own = agreement.another()
    threading.Thread(
        target=_care, args=(own, leads, stopping, broker), name="taskmesh-care", daemon=True
    ).start()


def _care(
    agreement: Agreement, leads: Callable[[], bool], stopping: threading.Event, broker: Broker | None
) -> None:
    acceptors, settings = AcceptorCare(agreement), OperatorSettings(agreement)
    sessions, transactions = Sweeping(agreement), Transactions(agreement, leads, broker)
    number, said = 0, ""
    silent: frozenset[str] = frozenset()
    compact_at_s = time.monotonic() + COMPACT_S
    try:
        while leads():
            try:
                configuration = acceptors.tend()
                settings.level()
                sessions.look()
                transactions.look()
                silent = _tell_silent(agreement.assess(), silent)
                if configuration.number != number and agreement.has_others:
                    _tell_unsafe(acceptors)
                if time.monotonic() >= compact_at_s:
                    compact_at_s = time.monotonic() + COMPACT_S
                    _drop_parts(agreement)
                    configuration = _compact(acceptors, configuration)
                    number = configuration.number
            except TaskMeshError as error:
                # a majority may be there in a moment
                if not said:
                    log.warning("acceptors, settings and sessions cannot be seen to for now: %s", error)
                said = str(error)
            else:
                if said:
                    log.info("acceptors, settings and sessions are seen to again")
                if number not in (0, configuration.number):
                    members = ", ".join(member.address for member in configuration.members)
                    log.warning("acceptors: configuration %d is in force, %s", configuration.number, members)
                number, said = configuration.number, ""
            stopping.wait(CARE_S)
    except Exception:
        log.exception(
            "acceptors, settings and sessions are not seen to any more: an error that nobody expected"
        )
    finally:
        agreement.close()


def _drop_parts(agreement: Agreement) -> None:
    count = agreement.run(delete_outdated_parts(agreement.registers, agreement.operation))
    if count:
        log.info("%d registers are deleted, which held parts of earlier views", count)


def _compact(acceptors: AcceptorCare, before: Configuration) -> Configuration:
    """Have what was deleted left behind if it is worth it, and return the configuration in force then."""
    after = acceptors.compact()
    if after is None:
        return before
    log.info("most registers were deleted, and are left behind: configuration %d is in force", after.number)
    return after


def _tell_silent(standings: Sequence[Standing], before: frozenset[str]) -> frozenset[str]:
    """Say which acceptors do not answer any more, and which do again; return those that do not.

    What others have against taking part is said by whoever wants to admit them.
    """
    silent = frozenset(each.address for each in standings if each.looked is None)
    for address in sorted(silent - before):
        log.warning("acceptor %s does not answer: start its server, or look at the way to it", address)
    answering = {each.address for each in standings} - silent
    for address in sorted(before & answering):
        log.info("acceptor %s answers again", address)
    return silent


def _tell_unsafe(acceptors: AcceptorCare) -> None:
    """Say by what acceptors of their own may forget; of the node itself `taskmesh doctor` says it."""
    for report in acceptors.reports():
        for unsafe in report.unsafe:
            if unsafe.kept < Kept.POWER:
                log.warning(
                    "acceptor %s may forget: %s; %s", report.standing.address, unsafe.text, unsafe.remedy
                )
