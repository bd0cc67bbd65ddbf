"""Going on with what there is, after more was lost than acceptors can make good: an operator's decision.

No majority decides here, so something else has to, or two operators could go on in two ways. It is one acceptor, the
same for all of them: of those that are left of the oldest configuration which still counts, the one whose id is the
lowest. It is opened for the new configuration first, and only if it knows of none that the operator has not seen; who
comes second is refused, and looks again. That they turn to the same one rests on what they say: each member that does
not answer is lost for ever (`--lost`), an emptied one is another instance, and so the lowest that answers one of them
either answers the other or is gone.

The new number leaves one out: it is the number of what a majority may have decided for, unknown to those that are left.
Such a configuration can neither be completed, for want of a majority to be sealed, nor be taken for the new one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from taskmesh.consensus.admission import Rules, admit, note_of
from taskmesh.consensus.chain import Looked, look
from taskmesh.consensus.configuration import (
    ROOT,
    Configuration,
    Member,
    Root,
    Source,
    latest_of,
    read_members,
)
from taskmesh.consensus.group import ask_group
from taskmesh.consensus.keeping import read_keeping
from taskmesh.consensus.proposer import highest_of
from taskmesh.consensus.quorum import majority
from taskmesh.consensus.registers import Registers
from taskmesh.consensus.replacement import NewInstance, renamed
from taskmesh.consensus.scripts import ADMIT, EXPORT, INIT
from taskmesh.core.steps import OUT, Call, GroupSteps, Reply, Round
from taskmesh.errors import AgreementError

#: How often one looks again, when others do the same.
TRIES = 5


class _View(NamedTuple):
    """What is left.

    Attributes:
        found: What acceptors say of themselves, by address.
        newest: The latest configuration that one of them knows.
        root: What the root register says there.
        target: What was to be in force: that one, or the one that was decided to follow and is open nowhere.
        is_decided: Whether that is sure.
    """

    found: dict[str, Looked]
    newest: Configuration
    root: Root
    target: Configuration
    is_decided: bool

    @property
    def there(self) -> set[str]:
        """The instances that answer."""
        return {each.instance for each in self.found.values() if each.answers}

    @property
    def is_stuck(self) -> bool:
        """Whether it was ended although nobody knows what follows, or another of its number stands in the way."""
        latest = [each.latest for each in self.found.values()]
        torn = any(each and each.number == self.newest.number and each != self.newest for each in latest)
        if torn and latest.count(self.newest) < majority(len(self.newest.members)):
            return True
        sealed = any(each.sealed for each in self.found.values() if each.latest == self.newest)
        return sealed and not self.root.following

    def has_majority(self, members: Sequence[Member]) -> bool:
        """Tell whether a majority of them answers."""
        return sum(member.instance in self.there for member in members) >= majority(len(members))

    def sources(self) -> list[Source]:
        """Return where registers may be that are not to be lost, the latest first."""
        earlier = [] if self.root.complete else self.newest.sources
        return [Source(self.newest.number, self.newest.members), *earlier]


def readmit(
    registers: Registers,
    rules: Rules,
    new_instance: NewInstance,
    addresses: Sequence[str],
    lost: Collection[str],
) -> GroupSteps[bool]:
    """Admit whoever has any memory; if those cannot go on, go over to them and to new instances.

    What only those knew that are lost, is lost. Where registers were being taken over, what a majority of the
    configuration before still holds is not. Members that do not answer must be said to be lost for good: coming back
    later they would go on as if nothing had happened.

    Args:
        registers: Of the mesh.
        rules: Of admission.
        new_instance: Draws the id of an instance.
        addresses: Where acceptors may be.
        lost: Addresses of those that never come back.

    Returns:
        Whether any memory is left; if not, a first configuration is to be made.

    Raises:
        AgreementError: A member does not answer that may come back; or others do the same, and it is to be tried again.
    """
    for _ in range(TRIES):
        view = yield from _viewed(registers, rules, addresses, lost)
        if view is None:
            return False
        if not view.is_decided and view.has_majority(view.newest.members):
            # only some accepted what follows: let it be decided
            yield from registers.read(ROOT)
            continue
        if (yield from _goes_on(registers.prefix, view)):
            if view.target != view.newest:
                yield from registers.chain.settle(view.target)
                registers.chain.enter(view.target)
            return True
        if (yield from _go_over(registers, rules, new_instance, view, lost)):
            return True
    raise AgreementError(
        "the acceptors are being changed by somebody else as well: try again when that has ended",
        register=ROOT,
    )


def _viewed(
    registers: Registers, rules: Rules, addresses: Sequence[str], lost: Collection[str]
) -> GroupSteps[_View | None]:
    """Admit whoever has any memory, wherever configurations lead, and return what there is; None for nothing.

    Raises:
        AgreementError: Nobody has any who answers, and one does not answer that may.
    """
    prefix, chain = registers.prefix, registers.chain
    known = list(addresses)
    while True:
        yield from _admit_all(prefix, rules, known)
        found = yield from look(prefix, known, len(known), (ROOT,))
        newest = latest_of(each.latest for each in found.values() if each.latest is not None)
        if newest is None:
            _check_lost({each for each in known if each not in found}, lost)
            return None
        told = [list(each.registers) for each in found.values() if each.latest == newest]
        value = highest_of(ROOT, len(newest.members), told)
        root = (
            chain.root_of(newest, value.packed) if value.packed else Root(newest.number, newest.number == 1)
        )
        target, is_decided = newest, True
        if root.following:
            sealed = any(each.sealed for each in found.values() if each.latest == newest)
            is_decided = value.chosen or sealed
            if is_decided:
                target = Configuration(newest.number + 1, read_members(root.following), newest.members)
        groups = [target.members, newest.members, *(source.members for source in newest.sources)]
        places = [member.address for group in groups for member in group]
        more = [each for each in dict.fromkeys(places) if each not in known]
        if not more:
            return _View(found, newest, root, target, is_decided)
        known += more


def _admit_all(prefix: bytes, rules: Rules, addresses: Sequence[str]) -> GroupSteps[None]:
    standings = yield from admit(prefix, addresses, rules)
    keepings = yield from read_keeping(addresses)
    for address, looked, why, _ in standings:
        if why and looked is not None and looked.instance:
            note = note_of(keepings.get(address), rules.boot_of(address))
            args = (looked.instance, looked.admitted, "0", note, looked.run)
            yield _one(Call(ADMIT, prefix, tuple(word.encode() for word in args), node=looked.address))


def _goes_on(prefix: bytes, view: _View) -> GroupSteps[bool]:
    """Tell whether enough is there to go on without any loss."""
    if view.is_stuck or not view.has_majority(view.target.members):
        return False
    needed = view.sources() if view.target != view.newest else view.sources()[1:]
    for source in needed:
        holders = yield from _holders(prefix, view, source)
        if len(holders) < majority(len(source.members)):
            return False
    return True


def _holders(prefix: bytes, view: _View, source: Source) -> GroupSteps[list[Member]]:
    """Return who still holds a configuration's registers.

    Raises:
        AgreementError: One does not say; who is taken for one that does not would choose another to decide.
    """
    holders = []
    for member in source.members:
        if member.instance in view.there:
            number = b"%d" % source.number
            told = yield from ask_group(prefix, [member], EXPORT, number, ROOT.encode(), agrees=b"EXPORT")
            if told.silent:
                raise AgreementError(
                    f"acceptor {member.address} answers no more: {told.why()}; try again, or say that it is lost",
                    register=ROOT,
                )
            # one that is not sealed says that it is open; others, that they do not know it or have dropped some of it
            if told.won or any(answer[0] == b"OPEN" for answer in told.refused):
                holders.append(member)
    return holders


def _go_over(
    registers: Registers, rules: Rules, new_instance: NewInstance, view: _View, lost: Collection[str]
) -> GroupSteps[bool]:
    """Open a configuration of what is left and of new instances; return whether nobody else was first."""
    groups = [view.target.members, *(source.members for source in view.sources())]
    places = {member.address for group in groups for member in group}
    # all are looked at before one is changed
    _check_lost({each for each in places if each not in view.found}, lost)
    sources, held = [], []
    for source in view.sources():
        holders = yield from _holders(registers.prefix, view, source)
        if len(holders) >= majority(len(source.members)):
            sources.append(source)
        elif holders:
            sources.append(Source(source.number, tuple(holders)))
        if holders:
            held = holders
    if not held:
        raise AgreementError(
            f"what is left of configuration {view.newest.number} was left behind by a later one, of which nothing is "
            "left: empty these servers, and begin anew with the same command",
            register=ROOT,
        )
    members = yield from _members(registers.prefix, rules, new_instance, view)
    number = max(view.newest.number, view.target.number) + 2
    following = Configuration(number, tuple(members or held), readmitted_from=tuple(sources))
    decider = min(held)
    knows = view.found[decider.address].latest
    args = (
        decider.instance.encode(),
        b"%d" % number,
        following.packed(),
        b"%d" % (knows.number if knows else 0),
    )
    (reply,) = yield _one(Call(INIT, registers.prefix, args, node=decider.address))
    if not isinstance(reply, list) or reply[0] != b"OPEN":
        return False
    yield from registers.chain.open(following)
    registers.chain.enter(following)
    return True


def _check_lost(silent: Collection[str], lost: Collection[str]) -> None:
    """See that whoever does not answer is lost for ever.

    Raises:
        AgreementError: One may come back.
    """
    if maybe := sorted(set(silent) - set(lost)):
        raise AgreementError(
            f"acceptor {maybe[0]} does not answer: start it, for it may know what others have lost; if it "
            f"never comes back, say so: {' '.join(f'--lost {each}' for each in maybe)}",
            register=ROOT,
        )


def _members(prefix: bytes, rules: Rules, new_instance: NewInstance, view: _View) -> GroupSteps[list[Member]]:
    """Return who is to be a member: those that were and answer, and new instances where others have lost everything."""
    members = [member for member in view.target.members if member.instance in view.there]
    for member in view.target.members:
        looked = view.found.get(member.address)
        if member in members or looked is None:
            continue
        instance = looked.instance
        if not looked.answers:
            instance = yield from renamed(prefix, rules, new_instance, looked)
        if (there := Member(instance, member.address)) not in members:
            members.append(there)
    return members


def _one(call: Call) -> Round:
    def is_there(replies: Sequence[Reply]) -> bool:
        return replies[0] is not OUT

    return Round([call], is_there)
