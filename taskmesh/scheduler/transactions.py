"""The leader's look at transactions: who decided one may have died before it was done."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from taskmesh.broker.announcing import announce
from taskmesh.coordination.means import Means
from taskmesh.coordination.transaction import DONE
from taskmesh.coordination.transaction_sweep import TransactionSweep
from taskmesh.nodes.lease_clock import lease_now_s
from taskmesh.nodes.transacting import generation, transact

if TYPE_CHECKING:
    from taskmesh.broker.contract import Broker
    from taskmesh.nodes.agreement import Agreement

log = logging.getLogger("taskmesh.scheduler")


class Transactions:
    """Looks now and then."""

    def __init__(self, agreement: Agreement, leads: Callable[[], bool], broker: Broker | None = None) -> None:
        """Prepare; connects when it first looks.

        Args:
            agreement: The way to the registers, and to the nodes.
            leads: Whether the lead lasts.
            broker: Of the mesh, if it has one: it is told of what is sent here.
        """
        self._agreement = agreement
        self._leads = leads
        self._broker = broker
        self._sweep = TransactionSweep()
        self._waiting: set[str] = set()

    def look(self) -> None:
        """Do what was decided and not done, as far as that is possible now; drop what never was decided.

        Raises:
            NodeUnavailable, AgreementError: It could not be found out which transactions there are.
        """
        agreement = self._agreement
        link = agreement.link.open()
        starts = generation(link)
        means = Means(
            agreement.registers,
            agreement.operation,
            lease_now_s,
            random.SystemRandom(),
            starts,
            is_embedded=starts > 0,
        )
        recorded = partial(announce, self._broker) if self._broker is not None else None
        swept = transact(agreement, self._sweep.run(means, link.session.now_ms, self._leads), recorded)
        for transaction in swept.given_up:
            log.info("transaction %s was never decided, and is dropped: nothing of it was done", transaction)
        waiting = dict(swept.failed)
        for transaction, completed in swept.completed.items():
            for task_id, (first, task) in completed.delivered.conflicts.items():
                log.warning(
                    "transaction %s: message %s is not recorded, its idempotency_key was given for another call: "
                    "message %s to task %s",
                    transaction,
                    task_id,
                    first,
                    task,
                )
            if completed.phase == DONE:
                log.info("transaction %s is done: its process had only decided it", transaction)
            elif completed.delivered.left:
                waiting[transaction] = next(iter(completed.delivered.left.values()))
        for transaction, why in waiting.items():
            level = logging.DEBUG if transaction in self._waiting else logging.WARNING
            log.log(
                level, "transaction %s is decided and cannot be done yet; that goes on: %s", transaction, why
            )
        self._waiting = set(waiting)
