"""Operators: they admit servers that were started anew, replace what is lost, and go over to other acceptors."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from taskmesh.consensus.chain import Looked, look
from taskmesh.consensus.configuration import Configuration, Member
from taskmesh.consensus.founding import found
from taskmesh.consensus.reconfigure import completed, drop_previous, reconfigure
from taskmesh.consensus.registers import Operation
from taskmesh.consensus.scripts import ADMIT, RENAME
from taskmesh.core.steps import OUT, Call, Pause, Round
from taskmesh.errors import ChangeRejected, ChangeUnknown
from tests.simulation.agreement.clients import Process
from tests.simulation.agreement.servers import PREFIX

if TYPE_CHECKING:
    from tests.simulation.agreement.world import World

Steps = Generator[Any, Any, Any]


class Operator:
    """Two operators, who know nothing of each other.

    Attributes:
        processes: Theirs.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.count = 0
        self.processes = [Process(world, at, f"operator{at}") for at in range(2)]

    def _process(self) -> Process:
        """Return one of them, beginning anew if it has died."""
        at = self.world.random.randrange(2)
        if not self.processes[at].alive:
            self.count += 1
            self.processes[at] = Process(self.world, at, f"operator{at}.{self.count}")
        return self.processes[at]

    def heal(self) -> None:
        """Have one put the acceptors in order."""
        process = self._process()
        self.world.start(process, f"{process.name} heals", self._tried(self._heal(process)))

    def move(self) -> None:
        """Have one go over to other acceptors."""
        process = self._process()
        self.world.start(process, f"{process.name} moves", self._tried(self._move(process)))

    def drop(self) -> None:
        """Have one remove what is left of the configuration before."""
        process = self._process()
        self.world.start(process, f"{process.name} drops", self._tried(drop_previous(process.registers)))

    def settle(self) -> None:
        """Have one put everything in order, for good."""
        process = self._process()
        self.world.start(process, f"{process.name} settles", self._settle(process))

    # -- what they do ---------------------------------------------------------------------

    def _tried(self, steps: Steps) -> Steps:
        try:
            yield from steps
        except (ChangeRejected, ChangeUnknown):
            return

    def _settle(self, process: Process) -> Steps:
        while True:
            try:
                if (yield from self._heal(process)):
                    break
            except (ChangeRejected, ChangeUnknown):
                pass
            yield Pause(0.1)
        self.world.settled()

    def _looked(self) -> Steps:
        addresses = list(self.world.servers)
        looked: dict[str, Looked] = yield from look(PREFIX, addresses, len(addresses))
        for each in looked.values():
            if each.answers:
                witness = self.world.witness
                witness[each.instance] = max(witness.get(each.instance, 0), each.count)
        return looked

    def _heal(self, process: Process) -> Steps:
        """Admit, make and replace; return whether all members of the configuration answer."""
        world = self.world
        for each in (yield from self._looked()).values():
            if not each.answers:
                yield from self._admit(each)
        if not world.configurations.known:
            # those who were to make the first one may all have died before
            yield from found(PREFIX, world.addresses, world.new_instance, lambda _: "")
        looked = yield from self._looked()
        configuration = yield from completed(process.registers)
        lost = [
            member
            for member in configuration.members
            if member.address in looked and looked[member.address].instance != member.instance
        ]
        if lost:
            members = self._without(configuration, lost, looked)
            if members is None:
                return False
            configuration = yield from self._reconfigure(process, members, self._operation())
        return all(
            (there := looked.get(member.address)) is not None
            and there.answers
            and there.instance == member.instance
            for member in configuration.members
        )

    def _admit(self, each: Looked) -> Steps:
        world, script = self.world, ADMIT
        server = world.servers[each.address]
        args: tuple[bytes, ...]
        if not each.instance:
            if "an emptied server gets its id back" in world.careless and each.address in world.ids:
                instance = world.ids[each.address]
            else:
                instance = world.new_instance()
            world.ids[each.address] = instance
            args = (instance.encode(), b"", b"0", b"", each.run.encode())
        elif server.durable or "the forgetful are admitted" in world.careless:
            least = b"%d" % world.witness.get(each.instance, 0)
            if not server.durable:
                least = b"0"
            args = (each.instance.encode(), each.admitted.encode(), least, b"", each.run.encode())
        else:
            # what it has forgotten nobody knows: it comes back as another, which knows nothing
            world.harmed.add(each.instance)
            instance = world.ids[each.address] = world.new_instance()
            script, args = RENAME, (each.instance.encode(), instance.encode(), b"", each.run.encode())
        yield Round([Call(script, PREFIX, args, node=each.address)], lambda replies: replies[0] is not OUT)

    def _without(
        self, configuration: Configuration, lost: list[Member], looked: dict[str, Looked]
    ) -> list[Member] | None:
        kept = [member for member in configuration.members if member not in lost]
        taken = {member.instance for member in kept}
        ready = [
            Member(each.instance, each.address)
            for each in looked.values()
            if each.answers and each.instance not in taken
        ]
        members = [*kept, *ready][: len(configuration.members)]
        return members if len(members) == len(configuration.members) else None

    def _move(self, process: Process) -> Steps:
        looked = yield from self._looked()
        ready = [Member(each.instance, each.address) for each in looked.values() if each.answers]
        for address, each in looked.items():
            if not each.instance and address not in self.world.addresses:
                yield from self._admit(each)
        self.world.random.shuffle(ready)
        size = 3 if len(ready) < 5 or self.world.random.random() < 0.8 else 5
        if len(ready) >= size:
            operation = self._operation()
            for _ in range(2):
                try:
                    yield from self._reconfigure(process, ready[:size], operation)
                except ChangeUnknown:
                    continue
                else:
                    break

    def _reconfigure(self, process: Process, members: list[Member], operation: Operation) -> Steps:
        # once decided for, new members are needed, also before any of them knows of it
        self.world.planned.append({member.instance for member in members})
        return (yield from reconfigure(process.registers, members, operation))

    def _operation(self) -> Operation:
        self.count += 1
        return Operation(f"m{self.count}".encode())
