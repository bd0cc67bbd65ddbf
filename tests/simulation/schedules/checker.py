"""What must hold of firings: each once, none left out, one at a time where overlaps are not wanted.

S1: of each moment of a schedule one message is recorded, once, also when it has ended and was forgotten.
S2: nobody is obeyed whose token is lower than one that was obeyed.
S3: with `all`, each moment since the schedule was made is recorded in the end.
S4: with `latest` and `skip`, a moment is left out only if it was more than 15 s late when something later was recorded;
    with `skip`, nothing is recorded that was missed.
S5: of a schedule that wants no overlaps no message is recorded while one of it has not ended, nor one before it.
S6: nothing of a moment at which the schedule was paused for certain.
S7: with the trouble over all schedules fire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskmesh.coordination.firing import read_firing_id
from taskmesh.coordination.schedule import ALL, ALLOW, SKIP, Schedule
from taskmesh.core.record import parse
from taskmesh.core.state import FINAL
from taskmesh.core.steps import NodeError
from taskmesh.scheduler.misfire import ON_TIME_MS
from taskmesh.scheduler.timetable import firings
from taskmesh.scheduler.when import read_when
from taskmesh.testing.simulated_network import Executed
from tests.simulation.ledger import Violation
from tests.simulation.schedules.parties import PREFIX

if TYPE_CHECKING:
    from tests.simulation.schedules.world import World

FENCED = " (fenced)"
#: How far the clocks of two leaders may differ.
SKEW_MS = 100
#: So long a leader may go by definitions that it read before: it looks each half a second, and may have to repeat it.
LOOK_MS = 15_000
#: From the decision that a firing is on time until it is recorded: requests may be late, or repeated.
SENDING_MS = 25_000


class Checker:
    """Sees each call that the node executes.

    Attributes:
        recorded: Schedule -> nominal moment -> when its message was recorded, Unix time, ms.
        live: Ids of messages that have not ended.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.recorded: dict[str, dict[int, int]] = {}
        self.live: set[bytes] = set()
        self._token = 0
        self._ever: set[bytes] = set()

    def executed(self, executed: Executed) -> None:
        """Look at one call."""
        script = executed.call.script
        if script is None or isinstance(executed.reply, NodeError):
            return
        if script.name.endswith(FENCED):
            self._obeyed(int(executed.call.args[2]))
        if script.name.startswith("queue.enqueue"):
            self._enqueued(executed)
        elif script.name == "queue.revoke":
            self.live = {each for each in self.live if not self._has_ended(each)}

    def _obeyed(self, token: int) -> None:
        if token < self._token:
            raise Violation(f"S2: token {token} is obeyed after {self._token}")
        self._token = token

    def _enqueued(self, executed: Executed) -> None:
        for task_id, letter in zip(_ids(executed.call.args[3:]), executed.reply.decode(), strict=True):
            if letter == "a":
                self._recorded(task_id)

    def _recorded(self, task_id: bytes) -> None:
        if task_id in self._ever:
            raise Violation(f"S1: {task_id.decode()} is recorded again")
        self._ever.add(task_id)
        firing = read_firing_id(task_id.decode())
        if firing is None:
            raise Violation(f"{task_id.decode()} is no firing's id")
        name, nominal_ms = firing
        schedule = self.world.by_name[name]
        before = self.recorded.setdefault(name, {})
        if schedule.overlap != ALLOW:
            self._check_alone(name, nominal_ms)
        before[nominal_ms] = self.world.now_ms
        self.live.add(task_id)

    def _check_alone(self, name: str, nominal_ms: int) -> None:
        start = f"{name}@".encode()
        if lives := [each.decode() for each in self.live if each.startswith(start)]:
            raise Violation(f"S5: {name} at {nominal_ms} begins while {lives} have not ended")
        if (last_ms := max(self.recorded[name], default=0)) > nominal_ms:
            raise Violation(f"S5: {name} at {nominal_ms} begins after that at {last_ms}")

    def _has_ended(self, task_id: bytes) -> bool:
        record = self.world.node.values.get(PREFIX + b"r:" + task_id)
        return record is None or parse(bytes(record)).state in FINAL  # type: ignore[arg-type]

    # -- at the end -----------------------------------------------------------------

    def judge(self, healed_ms: int) -> None:
        """See what can be seen at the end only.

        Args:
            healed_ms: From then on nothing went wrong.
        """
        end_ms = self.world.now_ms - 2_000
        for schedule in self.world.definitions:
            name, found = schedule.name, self.recorded.get(schedule.name, {})
            since_ms = self.world.since_ms[name]
            when = read_when(schedule.when, schedule.zone)
            if not any(moment > healed_ms for moment in found):
                raise Violation(f"S7: {name} does not fire")
            if name.startswith("changed"):
                self._judge_paused(name, found)
                continue
            wanted = list(firings(when, since_ms, end_ms))
            if early := [moment for moment in found if moment <= since_ms]:
                raise Violation(f"{name} fires at {early}, before it was made")
            if schedule.overlap == ALLOW:
                self._judge_left_out(schedule, wanted, found)

    def _judge_left_out(self, schedule: Schedule, wanted: list[int], found: dict[int, int]) -> None:
        left_out = [moment for moment in wanted if moment not in found]
        if schedule.misfire == ALL:
            if left_out:
                raise Violation(f"S3: {schedule.name} never fires at {left_out[:5]}")
            return
        for moment in left_out:
            later = [at_ms for nominal_ms, at_ms in found.items() if nominal_ms > moment]
            if not later or min(later) - moment <= ON_TIME_MS - SKEW_MS:
                raise Violation(f"S4: {schedule.name} leaves {moment} out, and was not late")
        if schedule.misfire == SKIP and (
            late := [moment for moment, at_ms in found.items() if at_ms - moment > ON_TIME_MS + SENDING_MS]
        ):
            raise Violation(f"S4: {schedule.name} fires at {late}, which were missed")

    def _judge_paused(self, name: str, found: dict[int, int]) -> None:
        for since_ms, until_ms in self.world.operator.paused.get(name, []):
            if wrong := [moment for moment in found if since_ms + LOOK_MS < moment <= until_ms - SKEW_MS]:
                raise Violation(f"S6: {name} fires at {wrong}, while it is paused: {since_ms} to {until_ms}")


def _ids(args: tuple[bytes, ...]) -> list[bytes]:
    """Return the ids in the groups of a call, see enqueue.lua."""
    ids: list[bytes] = []
    at = 0
    while at < len(args):
        count = int(args[at + 7])
        ids += args[at + 8 : at + 8 + 2 * count : 2]
        at += 8 + 2 * count
    return ids
