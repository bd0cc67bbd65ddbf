"""Children that run many messages at once: they speak with the node as `taskmesh.worker.concurrent_child` does.

Each message is a coroutine of the process; one more commits what has ended, a moment later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskmesh.core.record import CLAIM_SINGLY, TOKEN
from taskmesh.core.steps import Pause, Steps
from taskmesh.errors import NodeFault, NodeUnavailable
from taskmesh.queue.claim import Claimed, claim, held, recall
from taskmesh.queue.commit import commit
from tests.simulation.child import NOTHING, PATIENCE_S, Child

if TYPE_CHECKING:
    from tests.simulation.supervisor import Supervisor

MANY = 0xFFFFFFFF
MANY_AT_ONCE = 0x800000
HOLD_S = 0.005
ALONE_S = 0.5

#: A message by id and token.
Message = tuple[bytes, bytes]


class ConcurrentChild(Child):
    """A child with several slots."""

    def __init__(self, supervisor: Supervisor, number: int) -> None:
        super().__init__(supervisor, number + MANY_AT_ONCE)
        self.slots = self.world.random.randint(1, 6)
        self.running: dict[Message, tuple[int, int, Claimed]] = {}
        self.left: dict[int, int] = {}
        self.suspect: Message | None = None
        self.sending = False
        self.flush_is_due = False

    def _live(self) -> Steps[None]:
        try:
            while True:
                yield from self._compare_now_and_then()
                if len(self.running) >= self.slots:
                    if self.idle and len(self.world.queues) > 1:
                        yield from self._sign_off()
                    yield Pause(0.01)
                    continue
                yield from self._begin_sending()
                try:
                    batch = yield from self._turn()
                finally:
                    self.sending = False
                if not batch:
                    batch = yield from self._sleep()
                if batch:
                    yield from self._take_on(self.sequence, batch)
        except NodeFault as error:
            if not str(error.__dict__.get("text", "")).startswith("DEADWORKER"):
                raise
            self.supervisor.child_is_told_dead(self)

    def _most(self) -> int:
        return self.slots - len(self.running)

    def noted(self) -> Claimed | None:
        """Return the message that the page names."""
        return next((row[2] for row in self.running.values() if row[:2] == self.note[:2]), None)

    def run_of(self, claimed: Claimed) -> tuple[int, int]:
        """See `Child`."""
        return self.running[claimed.task_id, claimed.token][:2]

    def is_in(self, run: tuple[int, int]) -> bool:
        """See `Child`."""
        return any(row[:2] == run for row in self.running.values())

    def is_elsewhere(self, run: tuple[int, int]) -> bool:
        """Nothing less than its process can be ended: whatever else it runs goes back in line."""
        return False

    # -- running ------------------------------------------------------------------

    def _take_on(self, sequence: int, batch: list[Claimed]) -> Steps[None]:
        is_suspect = bool(int(batch[0].record[61:62], 16) & CLAIM_SINGLY)
        if is_suspect:
            if self.idle and len(self.world.queues) > 1:
                yield from self._sign_off()
            yield from self._rest()
            self.suspect = batch[0].task_id, batch[0].token
        self.left[sequence] = len(batch)
        for position, claimed in enumerate(batch, 1):
            self.running[claimed.task_id, claimed.token] = (sequence, position, claimed)
        self._note_what_runs()
        for claimed in batch:
            self.process.start(self._run_one(sequence, claimed))
        if is_suspect:
            yield from self._rest()

    def _rest(self) -> Steps[None]:
        until_s = self.world.time.now_s + ALONE_S
        while self.running and self.world.time.now_s < until_s:
            yield Pause(0.01)

    def _run_one(self, sequence: int, claimed: Claimed) -> Steps[None]:
        yield from self._run(claimed)
        message = claimed.task_id, claimed.token
        del self.running[message]
        if message == self.suspect:
            self.suspect = None
        self.left[sequence] -= 1
        if not self.left[sequence]:
            del self.left[sequence]
            self.done.append((sequence, claimed.epoch))
        self._note_what_runs()
        while self.condemned == sequence:
            yield Pause(0.001)
        if not self.flush_is_due:
            self.flush_is_due = True
            yield Pause(HOLD_S)
            self.flush_is_due = False
            yield from self._flush()

    def _note_what_runs(self) -> None:
        if self.suspect is not None:
            sequence, position, _ = self.running[self.suspect]
        elif len(self.running) == 1:
            ((sequence, position, _),) = self.running.values()
        else:
            sequence, position = 0, MANY if self.running else NOTHING
        self.note = (sequence, position, position, self.world.time.now_s)

    # -- the node -----------------------------------------------------------------

    def _begin_sending(self) -> Steps[None]:
        """Wait until what is being committed has been: a claim is let go of after its outcomes."""
        while self.sending:
            yield Pause(0.001)
        self.sending = True

    def _flush(self) -> Steps[None]:
        yield from self._begin_sending()
        entries, self.entries = self.entries, []
        done, self.done = self.done, []
        try:
            while entries or done:
                try:
                    verdicts = yield from commit(
                        self.session, self.holder, self.build, done, entries, patience_s=PATIENCE_S
                    )
                except NodeUnavailable:
                    continue
                self._judge(entries, verdicts)
                return
        finally:
            self.sending = False

    def _sign_off(self) -> Steps[None]:
        while True:
            try:
                found = yield from claim(
                    self.session,
                    self.holder,
                    self.sequence + 1,
                    0,
                    self.world.queues,
                    idle=True,
                    patience_s=PATIENCE_S,
                )
            except NodeUnavailable:
                continue
            except NodeFault as error:
                if error.__dict__.get("text") != f"OLDSEQUENCE {self.sequence + 2:08x}":
                    raise
                self.sequence += 1
                continue
            self.sequence += 1
            self.idle = False
            if found:
                yield from self._give_back(0)
            return

    def _compare(self) -> Steps[None]:
        known = set(self.running)
        yield from self._flush()
        sequences = {int(token[-8:], 16) for _, token in known}
        try:
            found = yield from held(self.session, self.holder, patience_s=PATIENCE_S)
            for sequence in sorted({row[0] for row in found} - sequences - {self.sequence + 1}):
                yield from recall(self.session, self.holder, sequence, 0, patience_s=PATIENCE_S)
            for sequence, _, task_id, head in found:
                message = task_id.encode(), head[TOKEN]
                if sequence in sequences and message not in known:
                    yield from commit(
                        self.session,
                        self.holder,
                        self.build,
                        (),
                        [*message, b"P", b""],
                        patience_s=PATIENCE_S,
                    )
        except NodeUnavailable:
            return
