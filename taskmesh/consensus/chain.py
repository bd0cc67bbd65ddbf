"""Which configuration counts now, and how to come to it from one that has ended.

A configuration ends when a majority of it is sealed, and what follows it was decided in its own root register before.
So whoever meets a sealed one can read there where to go, and do what is still to be done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from taskmesh.consensus.ballot import NONE
from taskmesh.consensus.configuration import (
    ROOT,
    Configuration,
    Root,
    Source,
    latest_of,
    read_configuration,
    read_members,
    root_in,
)
from taskmesh.consensus.group import ask_group
from taskmesh.consensus.proposer import Found, Lost, highest_of, peek
from taskmesh.consensus.quorum import majority
from taskmesh.consensus.scripts import EXPORT, INIT, LOOK, SEAL
from taskmesh.consensus.value import Packing
from taskmesh.core.steps import OUT, Call, GroupSteps, NodeError, Refused, Reply, Round
from taskmesh.errors import InvariantBroken, NoMajority


@dataclass(frozen=True, slots=True)
class Looked:
    """What an acceptor says of itself.

    Attributes:
        address: Where.
        instance: Its id; empty if it was never made one.
        admitted: As which process it may answer.
        run: Which process it is.
        boot: Of which start of its machine it was last told.
        count: How often it wrote.
        latest: Its highest configuration; None if it was opened for none.
        sealed: Whether that has ended there.
        registers: Of each register asked for: n, proposer, digest and value, as accepted in that configuration.
    """

    address: str
    instance: str
    admitted: str
    run: str
    boot: str
    count: int
    latest: Configuration | None
    sealed: bool
    registers: tuple[bytes, ...] = ()

    @property
    def answers(self) -> bool:
        """Whether it was admitted as the process that it is."""
        return bool(self.instance) and self.admitted == self.run


def look(
    prefix: bytes,
    addresses: Sequence[str],
    enough: int,
    names: Sequence[str] = (),
    refusals: dict[str, str] | None = None,
) -> GroupSteps[dict[str, Looked]]:
    """Ask acceptors what they are; those that say nothing are left out.

    Args:
        prefix: Of the mesh's keys.
        addresses: Of whom.
        enough: How many answers are waited for.
        names: Registers to be told of as well.
        refusals: Takes in why those that are there do not want to be asked: a wrong password, or no TLS.
    """
    asked = tuple(name.encode() for name in names)

    def is_enough(replies: Sequence[Reply]) -> bool:
        return sum(isinstance(reply, list) for reply in replies) >= enough or OUT not in replies

    replies = yield Round([Call(LOOK, prefix, asked, node=address) for address in addresses], is_enough)
    found = {}
    for address, reply in zip(addresses, replies, strict=True):
        if refusals is not None and (refusal := _refusal(reply, address)):
            refusals[address] = refusal
        if isinstance(reply, list):
            instance, admitted, run, boot, count, latest, members, state = (
                word.decode() for word in reply[:8]
            )
            found[address] = Looked(
                address,
                instance,
                admitted,
                run,
                boot,
                int(count),
                read_configuration(int(latest), members.encode()) if members else None,
                state == "sealed",
                tuple(reply[8:]),
            )
    return found


def _refusal(reply: Reply, address: str) -> str:
    """Return why a server does not let itself be asked; empty where it does, or is not there."""
    if isinstance(reply, NodeError):
        return reply.text
    return reply.reason.removeprefix(f"{address}: ") if isinstance(reply, Refused) and reply.lasts else ""


@dataclass(slots=True)
class Chain:
    """The configurations, as one process knows them.

    Attributes:
        prefix: Of the mesh's keys.
        packing: Reads root registers.
        addresses: Where acceptors may be: as the user says before any configuration is known; then where those of
            the one that counts are, and of those before it until it is complete.
        admit: Admits those that were started anew, where it can be; raises `NoMajority` where too few are left. None
            if that is somebody else's business.
        find: Asks whoever remembers it which configuration was seen last; None if nobody does. For those who slept
            through several changes, or know acceptors that have lost everything.
    """

    prefix: bytes
    packing: Packing
    addresses: list[str]
    admit: Callable[[], GroupSteps[None]] | None = None
    find: Callable[[], GroupSteps[Configuration | None]] | None = None
    _current: Configuration | None = None
    _complete: int = 1

    def current(self) -> GroupSteps[Configuration]:
        """Return the configuration that counts, as far as this process knows.

        Raises:
            NoMajority: None can be found.
        """
        if self._current is None:
            yield from self.follow()
        if self._current is None:
            raise InvariantBroken("following the configurations led to none")
        return self._current

    def is_complete(self, configuration: Configuration) -> GroupSteps[bool]:
        """Find out whether a register that is absent in a configuration from now on does not exist.

        It must be asked before one looks for the register: what is not there now may be taken over in a moment.
        """
        if configuration.number > self._complete:
            told = yield from peek(self.prefix, configuration, [ROOT])
            found = None if isinstance(told, Lost) else told[ROOT]
            if found is not None and found.chosen and self.root_of(configuration, found.packed).complete:
                self.note_complete(configuration)
        return configuration.number <= self._complete

    def note_complete(self, configuration: Configuration) -> None:
        """Remember that a configuration holds all that the one before it held, and forget where that was.

        Who looks at acceptors waits for those that are gone. The way on from this one is written where this one is, or
        known to whom `find` asks.
        """
        self._complete = max(self._complete, configuration.number)
        if configuration == self._current:
            self.addresses[:] = [member.address for member in configuration.members]

    def places(self) -> list[str]:
        """Return where acceptors may be whose answers are needed; until all is taken over, also of those before."""
        known = self._current
        sources = known.sources if known is not None and known.number > self._complete else ()
        before = (member.address for source in sources for member in source.members)
        return list(dict.fromkeys([*self.addresses, *before]))

    def restart(self) -> None:
        """Forget all: the only acceptor there is has lost everything, and a first configuration was made anew."""
        self._current, self._complete = None, 1

    def enter(self, configuration: Configuration) -> None:
        """Take over a configuration, unless a later one is known."""
        if self._current is None or configuration.number > self._current.number:
            self._current = configuration
        for member in configuration.members:
            if member.address not in self.addresses:
                self.addresses.insert(0, member.address)

    def follow(self) -> GroupSteps[None]:
        """Find out which configuration counts, and finish the step to it if whoever began that did not.

        Raises:
            NoMajority: Too few acceptors answered.
        """
        try:
            newest = yield from self._follow()
        except NoMajority:
            if not (yield from self._is_found()):
                raise
            yield from self._follow()
            return
        known = self._current
        # these acceptors may have been left behind, or have lost everything and begun anew
        is_behind = known is not None and (newest.number < known.number or newest.differs(known))
        if is_behind and (yield from self._is_found()):
            yield from self._follow()

    def seek(self) -> GroupSteps[None]:
        """Go to a later configuration than the one that is known, if there is one: those of that say nothing.

        Raises:
            NoMajority: There is, and too few of its acceptors answered.
        """
        told = None if self.find is None else (yield from self.find())
        known = self._current
        if told is not None and known is not None and told.number > known.number:
            places = [member.address for member in told.members]
            self.addresses[:0] = [place for place in places if place not in self.addresses]
            yield from self.follow()

    def _is_found(self) -> GroupSteps[bool]:
        """Learn of the configuration that was seen last; return whether it is not the one that was known."""
        told = None if self.find is None else (yield from self.find())
        if told is None:
            return False
        known = self._current
        more = [member.address for member in told.members if member.address not in self.addresses]
        self.addresses[:0] = more
        if known is not None and (told.number < known.number or told.differs(known)):
            # Perhaps an operator had the first one made anew. Whoever is started now believes what is remembered, and
            # what acceptors say then; what this process knew is no better
            self.restart()
            return True
        return bool(more)

    def _follow(self) -> GroupSteps[Configuration]:
        """Go to the latest configuration of which the acceptors that are known tell, and return which that was."""
        # a copy: another conversation of this process may come to know more of them meanwhile
        addresses = list(self.addresses)
        enough = majority(len(addresses))
        found = yield from look(self.prefix, addresses, enough)
        if self.admit is not None and sum(each.answers for each in found.values()) < enough:
            yield from self.admit()
            found = yield from look(self.prefix, addresses, enough)
        latest = [(each.latest, each.sealed) for each in found.values() if each.latest is not None]
        newest = latest_of(each for each, _ in latest)
        if newest is None:
            raise NoMajority(
                f"none of the acceptors {', '.join(addresses)} is known to hold a configuration "
                f"({len(found)} answered)",
                register=ROOT,
            )
        self.enter(newest)
        if any(sealed for each, sealed in latest if each.number == newest.number):
            yield from self.step(newest)
        else:
            yield from self.settle(newest)
        return newest

    def settle(self, configuration: Configuration) -> GroupSteps[None]:
        """Have a configuration that is open somewhere open at a majority, and the one before it ended.

        It is open somewhere, so it was decided: whoever began to open it may have stopped there.

        Raises:
            NoMajority: Too few acceptors answered.
        """
        yield from self.open(configuration)
        if not (yield from self.is_complete(configuration)):
            for source in configuration.sources:
                yield from self.seal(source)

    def step(self, configuration: Configuration) -> GroupSteps[None]:
        """Go from a configuration that is ending to the next.

        Some member of it is sealed already, so what follows is decided: a majority may be sealed without asking.

        Raises:
            NoMajority: Too few acceptors answered.
        """
        yield from self.seal(configuration)
        number = b"%d" % configuration.number
        answers = yield from ask_group(
            self.prefix, configuration.members, EXPORT, number, ROOT.encode(), agrees=b"EXPORT"
        )
        if not answers.won:
            raise NoMajority(
                f"what follows configuration {number.decode()} cannot be read: {answers.why()}", register=ROOT
            )
        packed = highest_of(ROOT, len(configuration.members), answers.agreed.values()).packed
        root = self.root_of(configuration, packed) if packed else None
        if root is None or not root.following:
            raise InvariantBroken(
                f"configuration {configuration.number} was ended before it was decided what follows"
            )
        following = Configuration(
            configuration.number + 1, read_members(root.following), configuration.members
        )
        yield from self.open(following)
        self.enter(following)

    def open(self, configuration: Configuration) -> GroupSteps[None]:
        """Open a configuration on a majority of its members.

        Raises:
            NoMajority: Too few acceptors answered.
        """
        answers = yield from ask_group(
            self.prefix,
            configuration.members,
            INIT,
            b"%d" % configuration.number,
            configuration.packed(),
            agrees=b"OPEN",
        )
        # where it is sealed already others are further than this process
        if not answers.won and not any(answer[0] == b"SEALED" for answer in answers.refused):
            raise NoMajority(
                f"configuration {configuration.number} cannot be opened: {answers.why()}. Start its acceptors; those "
                "that are lost for ever, `taskmesh acceptors readmit --accept-loss --lost ADDRESS` passes over",
                register=ROOT,
            )

    def seal(self, configuration: Configuration | Source) -> GroupSteps[None]:
        """End a configuration on a majority of its members, for ever.

        Raises:
            NoMajority: Too few acceptors answered.
        """
        answers = yield from ask_group(
            self.prefix, configuration.members, SEAL, b"%d" % configuration.number, agrees=b"SEALED"
        )
        if not answers.won:
            raise NoMajority(
                f"configuration {configuration.number} cannot be ended: {answers.why()}", register=ROOT
            )

    def inherited(self, configuration: Configuration, name: str) -> GroupSteps[Found | None]:
        """Return what a register held at the end of the configuration before; None if that cannot be told.

        It is the value with the highest ballot among a sealed majority: everything chosen is among them, and what was
        accepted by some only may be taken over or not, but is so by one decision of this configuration.
        """
        found = Found(b"", NONE, chosen=False)
        for source in configuration.sources:
            answers = yield from ask_group(
                self.prefix, source.members, EXPORT, b"%d" % source.number, name.encode(), agrees=b"EXPORT"
            )
            if not answers.won:
                return None
            found = highest_of(name, len(source.members), answers.agreed.values())
            if found.packed:
                break
        return found

    def root_of(self, configuration: Configuration, packed: bytes) -> Root:
        """Return what the root register of a configuration says."""
        return root_in(configuration, self.packing.unpack(ROOT, packed).content)
