"""What operators set: registers that all agree upon, and what the data node does by them.

The register is the truth. A wish goes to the data node first, where it holds at once, and from there into the register;
whoever finds a wish that stayed there, after a crash or for want of a majority, takes it on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from taskmesh.consensus.listing import anew, changes
from taskmesh.consensus.registers import Operation
from taskmesh.errors import AgreementError
from taskmesh.nodes.knobs import GOING, KNOBS, PAUSE, PAUSED, RATE_LIMIT, WEIGHT, Knob
from taskmesh.queue.rate import BEGIN, END, GO_ON, hasten
from taskmesh.queue.wish import Wish, note_wish, settle_wish, wishes

if TYPE_CHECKING:
    from taskmesh.nodes.agreement import Agreement

log = logging.getLogger("taskmesh")
#: How long to go on telling messages of a task that another limit holds, and how often.
HASTEN_S = 2.0
HASTEN_EACH_S = 0.02


class OperatorSettings:
    """Reads and changes what operators set."""

    def __init__(self, agreement: Agreement) -> None:
        """Take the way to the registers, and to the data node."""
        self._agreement = agreement
        self._link = agreement.link
        self._since: dict[str, int] = {}
        self._registers: set[str] = set()

    def set_paused(self, queue: str, paused: bool) -> bool:  # noqa: FBT001 - as the register has it
        """Pause a queue or let it go on, and tell whether that changed anything; see `_set`."""
        return self._set(PAUSE, queue, PAUSED if paused else GOING)

    def set_weight(self, queue: str, weight: int) -> bool:
        """Give a queue a weight, 0 for what workers say, and tell whether that changed anything; see `_set`."""
        return self._set(WEIGHT, queue, str(weight))

    def set_rate_limit(self, task: str, limit: str) -> bool:
        """Give a task a limit, empty for the code's, and tell whether that changed anything; see `_set`."""
        return self._set(RATE_LIMIT, task, limit)

    def _set(self, knob: Knob, name: str, value: str) -> bool:
        """Set something, and tell whether that changed anything.

        Without a majority of the acceptors it holds on the node, and enters the register when there is one again.

        Raises:
            NodeUnavailable: The data node did not answer in time.
        """
        link, operation = self._link, self._agreement.operation()
        wish = Wish(value, operation.id.hex())
        link.ask(lambda _: note_wish(link.session, name, wish, knob.kind))
        changed = self._apply(knob, name, value)
        try:
            self._settle(knob, name, wish, operation)
        except AgreementError as error:
            log.warning(
                "%s; the acceptors were not told, and will be when a majority takes part: %s",
                knob.said(name, value),
                error,
            )
        return changed

    def level(self) -> None:
        """Bring node and registers in line: take on wishes that stayed, then have the node do as the registers say.

        Raises:
            AgreementError: Too few acceptors take part.
            NodeUnavailable: The data node did not answer in time.
        """
        for knob in KNOBS:
            for name, wish in self._wishes(knob).items():
                self._settle(knob, name, wish, Operation(bytes.fromhex(wish.operation)))
        self._hear()
        for knob in KNOBS:
            begin = knob.registers
            registered = {name.removeprefix(begin) for name in self._registers if name.startswith(begin)}
            for name in {*registered, *self._names(knob)}:
                self._follow(knob, name)

    def _hear(self) -> None:
        """Take in which registers there are: once all of the mesh, and then what is new."""
        registers = self._agreement.registers
        names, until = self._agreement.run(changes(registers, self._since))
        if anew(self._since, until):
            self._registers.clear()
        begin = tuple(knob.registers for knob in KNOBS)
        self._registers |= {name for name in names if name.startswith(begin)}
        self._since = until

    def _settle(self, knob: Knob, name: str, wish: Wish, operation: Operation) -> None:
        """Have the register follow a wish, and the node the register."""
        agreement, link = self._agreement, self._link
        agreement.run(agreement.registers.change(knob.register(name), knob.change(wish.value), operation))
        link.ask(lambda _: settle_wish(link.session, name, wish, knob.kind))
        self._follow(knob, name)

    def _follow(self, knob: Knob, name: str) -> None:
        """Have the node do as the register says, until it says the same afterwards: others change it as well."""
        agreement = self._agreement
        before: str | None = None
        while True:
            found = agreement.run(agreement.registers.read(knob.register(name)))
            value = knob.told(found.content)
            if value == before or name in self._wishes(knob):
                # a newer wish holds on the node, and whoever has it takes it on
                return
            self._apply(knob, name, value)
            before = value

    def _wishes(self, knob: Knob) -> dict[str, Wish]:
        return self._link.ask(lambda _: wishes(self._link.session, knob.kind))

    def _names(self, knob: Knob) -> Iterable[str]:
        return self._link.ask(lambda _: knob.names(self._link.session))

    def _apply(self, knob: Knob, name: str, value: str) -> bool:
        link = self._link
        changed = link.ask(lambda left_s: knob.apply(link.session, name, value, left_s))
        if changed and knob is RATE_LIMIT:
            self._hasten(name)
        return changed

    def _hasten(self, task: str) -> None:
        """Have messages that wait by the limit of before come back, and ask anew."""
        link, until_s = self._link, time.monotonic() + HASTEN_S

        def step(which: bytes) -> int:
            return link.ask(lambda left_s: hasten(link.session, task, which, patience_s=left_s))

        before = left = step(BEGIN)
        while left:
            if left >= before:
                if time.monotonic() > until_s:
                    step(END)  # held by who stands still
                    return
                time.sleep(HASTEN_EACH_S)  # its child is about to say that it waits
            before = left
            left = step(GO_ON)
