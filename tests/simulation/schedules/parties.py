"""Who takes part: leaders with the real firing, an operator who changes schedules, and what ends messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from taskmesh.codec.keyring import Key, Keyring
from taskmesh.consensus.chain import Chain
from taskmesh.consensus.registers import Change, Operation, Registers
from taskmesh.consensus.value import Packing
from taskmesh.coordination.firing import schedule_register
from taskmesh.coordination.leader import Tenure
from taskmesh.coordination.schedule import ALLOW, Schedule
from taskmesh.coordination.schedule_change import pause, put, remove, resume
from taskmesh.core.steps import Call, GroupSteps, Pause, Reply, Steps
from taskmesh.errors import LeadershipLost, TaskMeshError, UsageError
from taskmesh.queue.manage import revoke
from taskmesh.queue.workers import beat, register
from taskmesh.scheduler import fire
from taskmesh.scheduler.candidate import AGAIN_S
from taskmesh.scheduler.fire import Firing
from taskmesh.testing.simulated_driver import SimulatedProcess
from tests.simulation.schedules.blocking import Blocking

if TYPE_CHECKING:
    from tests.simulation.schedules.world import World

T = TypeVar("T")
PREFIX = b"tm:simulated:"
NODE = "node"
PACKING = Packing(lambda raw: raw, lambda raw: raw)
SIGNER = Keyring(Key.of(b"k" * 32)).signer("message", "simulated")


@contextmanager
def clock_of(world: World) -> Iterator[None]:
    """Have leaders measure their intervals by the simulation's time."""
    right = fire.time
    fire.time = SimpleNamespace(monotonic=lambda: world.time.now_s)  # type: ignore[assignment]
    try:
        yield
    finally:
        fire.time = right


def at_the_node(steps: GroupSteps[T]) -> Steps[T]:
    """Return a conversation with acceptors as one with the node, which is the only one."""
    try:
        request = next(steps)
        while True:
            replies: Sequence[Reply] = yield (
                request
                if isinstance(request, Pause)
                else [Call(call.script, call.prefix, call.args, call.patience_s) for call in request.calls]
            )
            request = steps.send(replies)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return] # what the generator returns


class Party:
    """A process with code that blocks, and a way to the registers; it is link and agreement to that code."""

    messages = SIGNER

    def __init__(self, world: World, name: str, *, clock_skew_s: float = 0.0) -> None:
        self.world = world
        self.chance = Random(world.random.getrandbits(64))
        self.process = SimulatedProcess(name, world.network, clock_skew_s=clock_skew_s)
        self.session = self.process.session(PREFIX, epoch=world.epoch)
        self.clock = SimpleNamespace(now_ms=self.process.now_ms)
        chain = Chain(PREFIX, PACKING, [NODE])
        self.registers = Registers(PREFIX, chain, PACKING, self.chance, lambda: world.time.now_s)
        self.thread = Blocking(self.process, self.work)

    def work(self) -> None:
        """Do what this one does."""
        raise NotImplementedError

    # -- as a link, and as an agreement ---------------------------------------------

    def open(self) -> Party:
        """Be there."""
        return self

    def measure_clock(self, within_s: float) -> None:
        """Leave the clock as it is."""

    def run(self, steps: Any, *, within_s: float | None = None) -> Any:
        """Run a protocol; how long it goes on it knows itself."""
        return self.thread.run(steps)

    def operation(self) -> Operation:
        """Return a new wish to change something."""
        return Operation(self.chance.randbytes(12))


class Agreeing:
    """The way of one party to the registers."""

    def __init__(self, party: Party) -> None:
        self._party = party
        self.registers = party.registers
        self.operation = party.operation

    def run(self, steps: GroupSteps[T]) -> T:
        """Run a conversation with the acceptors."""
        return self._party.thread.run(at_the_node(steps))


class Leader(Party):
    """One that leads, or believes so.

    Attributes:
        token: Of its lead.
        leads: Whether it believes that it leads; it may be wrong for a while.
    """

    def __init__(self, world: World, token: int) -> None:
        super().__init__(world, f"leader {token}", clock_skew_s=world.random.uniform(-0.05, 0.05))
        self.token = token
        self.leads = True
        self.firing: Firing | None = None

    def work(self) -> None:
        """Take turns as `Standing` has them taken."""
        tenure = Tenure(self.token)
        while self.leads:
            try:
                if self.firing is None:
                    begun = Firing(self, Agreeing(self), tenure, lambda: self.leads, self.process.name)  # type: ignore[arg-type]
                    begun.begin()
                    self.firing = begun
                wait_s = self.firing.turn()
            except LeadershipLost:
                return
            except TaskMeshError:
                wait_s = AGAIN_S
            self.thread.sleep(wait_s)
        if self.firing is not None and self.chance.random() < 0.5:
            self._flush(self.firing)

    def _flush(self, firing: Firing) -> None:
        try:
            firing.flush()
        except TaskMeshError:
            return


class Operator(Party):
    """Defines schedules, and changes some of them for as long as there is trouble.

    Attributes:
        definitions: What it defines.
        is_done: Whether all is defined, and nothing changes any more.
        paused: Schedule -> intervals of Unix time, ms, in which it was paused for certain.
    """

    def __init__(self, world: World, definitions: Sequence[Schedule]) -> None:
        super().__init__(world, "operator")
        self.definitions = definitions
        self.is_done = False
        self.paused: dict[str, list[tuple[int, int]]] = {}
        self._since: dict[str, int] = {}

    def work(self) -> None:
        """Define, change, and leave all of it fire."""
        for schedule in self.definitions:
            self._change(schedule.name, lambda schedule=schedule: put(schedule, self.clock.now_ms()))
        self.world.defined()
        changed = [schedule for schedule in self.definitions if schedule.name.startswith("changed")]
        while not self.world.healed:
            self.thread.sleep(self.chance.expovariate(1 / 8.0))
            schedule = self.chance.choice(changed)
            self._alter(schedule)
        for schedule in changed:
            self._change(schedule.name, lambda schedule=schedule: put(schedule, self.clock.now_ms()))
            self._resume(schedule.name)
        self.is_done = True

    def _alter(self, schedule: Schedule) -> None:
        name = schedule.name
        what = self.chance.choice(("pause", "resume", "remove", "anew", "other times"))
        if what == "remove" and schedule.overlap != ALLOW:
            what = "pause"  # one that is made again knows nothing of what the old one left running
        if what == "pause":
            if self._change(name, lambda: pause(name)):
                self._since.setdefault(name, self.clock.now_ms())
        elif what == "resume":
            self._resume(name)
        elif what == "remove":
            self._since.pop(name, None)
            self._change(name, lambda: remove)
        else:
            when = schedule.when if what == "anew" else f"every {self.chance.randint(1, 9)}s"
            self._change(name, lambda: put(replace(schedule, when=when), self.clock.now_ms()))

    def _resume(self, name: str) -> None:
        since_ms = self._since.pop(name, None)
        if since_ms is not None:
            self.paused.setdefault(name, []).append((since_ms, self.clock.now_ms()))
        self._change(name, lambda: resume(name, self.clock.now_ms()))

    def _change(self, name: str, make: Callable[[], Change]) -> bool:
        """Try until it is done: each time anew, with the time of now. Return whether there is such a schedule."""
        agreeing = Agreeing(self)
        while True:
            change: Change = make()
            try:
                agreeing.run(self.registers.change(schedule_register(name), change, self.operation()))
            except TaskMeshError as error:
                if isinstance(error, UsageError):
                    return False
                self.thread.sleep(0.3)
            else:
                return True


class Ender(Party):
    """Ends messages, as workers would, and has the node forget what it need not know any more."""

    INCARNATION = b"%016x" % 1

    def work(self) -> None:
        """Go on until the end."""
        self._try(register(self.session, self.INCARNATION, b"{}"))
        pause_s = self.chance.choice((0.5, 3.0, 30.0))
        while True:
            self.thread.sleep(self.chance.expovariate(1 / (0.5 if self.world.healed else pause_s)))
            live = sorted(self.world.checker.live)
            if live:
                some = self.chance.sample(live, min(len(live), self.chance.choice((1, 3, 50))))
                self._try(revoke(self.session, [(each, b"", b"over") for each in some], patience_s=2.0))
            if self.chance.random() < 0.3:
                self._try(beat(self.session, self.INCARNATION))

    def _try(self, steps: Steps[Any]) -> None:
        try:
            self.run(steps)
        except TaskMeshError:
            return
