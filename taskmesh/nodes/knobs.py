"""What operators can set while everything runs: each kind, its registers, and what the data node does by it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from taskmesh.consensus.registers import Change
from taskmesh.coordination import queue_setting, task_setting
from taskmesh.core.steps import Session, Steps
from taskmesh.queue.pause import pause, paused_queues, resume
from taskmesh.queue.setting import operated, put_rate_limit, put_weight

#: The two values of a pause.
PAUSED, GOING = "paused", "going"


@dataclass(frozen=True, slots=True)
class Knob:
    """One kind of thing that can be set, for any name; values are words without space.

    Attributes:
        kind: What its wishes on the node are kept under.
        registers: What its registers begin with, before the name.
        change: Returns the change of a register that a value stands for.
        told: Returns the value that a register says.
        apply: Has the node do so within so many seconds, and tells whether that changed anything.
        names: Returns the names for which the node does anything.
        said: Returns what is so now, for people.
    """

    kind: bytes
    registers: str
    change: Callable[[str], Change]
    told: Callable[[bytes | None], str]
    apply: Callable[[Session, str, str, float], Steps[bool]]
    names: Callable[[Session], Steps[Iterable[str]]]
    said: Callable[[str, str], str]

    def register(self, name: str) -> str:
        """Return the register of a name."""
        return self.registers + name


def _pause(session: Session, queue: str, value: str, patience_s: float) -> Steps[bool]:
    make = pause if value == PAUSED else resume
    return (yield from make(session, queue, patience_s=patience_s))


PAUSE: Final = Knob(
    kind=b"",
    registers=queue_setting.REGISTERS,
    change=lambda value: queue_setting.paused_as(value == PAUSED),
    told=lambda content: PAUSED if queue_setting.unpack_queue(content).paused else GOING,
    apply=_pause,
    names=paused_queues,
    said=lambda queue, value: f"queue {queue} {'is paused' if value == PAUSED else 'goes on'}",
)


def _weigh(session: Session, queue: str, value: str, patience_s: float) -> Steps[bool]:
    return (yield from put_weight(session, queue, int(value), patience_s=patience_s))


def _weighed(session: Session) -> Steps[Iterable[str]]:
    return (yield from operated(session)).weights


WEIGHT: Final = Knob(
    kind=b":weight",
    registers=queue_setting.REGISTERS,
    change=lambda value: queue_setting.weighing(int(value)),
    told=lambda content: str(queue_setting.unpack_queue(content).weight),
    apply=_weigh,
    names=_weighed,
    said=lambda queue, value: f"queue {queue} weighs {value if value != '0' else 'what workers say'}",
)


def _limit(session: Session, task: str, value: str, patience_s: float) -> Steps[bool]:
    return (yield from put_rate_limit(session, task, value, patience_s=patience_s))


def _limited(session: Session) -> Steps[Iterable[str]]:
    return (yield from operated(session)).rate_limits


RATE_LIMIT: Final = Knob(
    kind=b":rate",
    registers=task_setting.REGISTERS,
    change=task_setting.limited_to,
    told=lambda content: task_setting.unpack_task(content).rate_limit,
    apply=_limit,
    names=_limited,
    said=lambda task, value: f"the rate limit of task {task} is {value or 'what the code says'}",
)

KNOBS: Final = (PAUSE, WEIGHT, RATE_LIMIT)
