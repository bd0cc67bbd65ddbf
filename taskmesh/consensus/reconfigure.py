"""Other acceptors: decide, open the new, seal the old, take over each register by consensus.

Anybody may go on where another stopped; each step is harmless when repeated. Registers are taken over many at once: one
message holds what would be many, and each register is still a round of its own (`Registers.take_over`). So those of one
message may end in different ways, and one that does not end is taken over alone.

Copying the old ones' values and switching over would not do: two who read different majorities can carry different
values that only some had accepted, and both would count (`docs/divergence.md`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from taskmesh.consensus.chain import look
from taskmesh.consensus.configuration import (
    ROOT,
    Configuration,
    Member,
    Root,
    Source,
    pack_members,
    read_members,
    root_in,
)
from taskmesh.consensus.group import ask_group
from taskmesh.consensus.proposer import Found, highest_of
from taskmesh.consensus.quorum import majority
from taskmesh.consensus.registers import Keep, Operation, Registers, Verdict, Versioned, Write
from taskmesh.consensus.scripts import DROP, EXPORT
from taskmesh.core.steps import GroupSteps
from taskmesh.errors import NoMajority

#: Registers that are taken over, or dropped, in one step.
AT_ONCE = 100
#: Values that are sent in one step, unless one alone is larger: a socket takes so much at once.
BATCH_BYTES = 1 << 16


def reconfigure(
    registers: Registers, members: Sequence[Member], operation: Operation, *, if_number: int | None = None
) -> GroupSteps[Configuration]:
    """Go over to other acceptors, and return the configuration that is in force then.

    If another change is under way, that one is finished first; if it was decided at the same time, it is the one that
    counts, and what is returned has other members than asked for.

    Args:
        registers: Of the mesh.
        members: Who is to be a member.
        operation: The wish.
        if_number: Only if this configuration is in force: another's decision is not to be undone.

    Raises:
        ChangeRejected, ChangeUnknown: Too few acceptors answered; begin again, with the same operation.
    """
    yield from _reach(registers, members)
    wanted = pack_members(tuple(members))
    while True:
        configuration = yield from completed(registers)
        if if_number not in (None, configuration.number):
            return configuration

        def decide(found: Versioned, configuration: Configuration = configuration) -> Verdict:
            root = root_in(configuration, found.content)
            if root.number > configuration.number or root.following:
                return Keep()
            return Write(
                Root(root.number, root.complete, wanted).pack(), answer=b"%d" % (configuration.number + 1)
            )

        changed = yield from registers.change(ROOT, decide, operation)
        if changed.answer and int(changed.answer) <= configuration.number:
            # what is asked for again was done earlier, and may have been followed by others
            return configuration
        root = root_in(configuration, changed.content)
        # else somebody went on to another configuration in the meantime: that one's root was found
        if root.number == configuration.number and root.following:
            break
    following = Configuration(configuration.number + 1, read_members(root.following), configuration.members)
    chain = registers.chain
    yield from chain.open(following)
    yield from chain.seal(configuration)
    chain.enter(following)
    return (yield from completed(registers))


def _reach(registers: Registers, members: Sequence[Member]) -> GroupSteps[None]:
    """See that a majority of new members is there: once decided for, there is no way back."""
    needed = majority(len(members))
    found = yield from look(registers.prefix, [member.address for member in members], len(members))
    ready = [
        member
        for member in members
        if (there := found.get(member.address)) is not None
        and there.instance == member.instance
        and there.answers
    ]
    if len(ready) < needed:
        missing = ", ".join(
            f"{member.instance}@{member.address}" for member in members if member not in ready
        )
        raise NoMajority(
            f"{len(ready)} of {len(members)} new acceptors are there, and {needed} must be: missing are {missing}",
            register=ROOT,
        )


def completed(registers: Registers) -> GroupSteps[Configuration]:
    """Return the configuration in force, after everything was taken over into it.

    Raises:
        ChangeRejected, ChangeUnknown: Too few acceptors answered.
    """
    chain = registers.chain
    while True:
        configuration = yield from chain.current()
        if (yield from chain.is_complete(configuration)):
            return configuration
        # it may have ended already, or been opened by somebody who stopped there
        yield from chain.follow()
        if (yield from chain.current()) == configuration and not (
            yield from chain.is_complete(configuration)
        ):
            yield from _take_over(registers, configuration)


def _take_over(registers: Registers, configuration: Configuration) -> GroupSteps[None]:
    known: set[str] = set()
    for source in configuration.sources:
        # what a later configuration knows of a register counts, and is not looked for in an earlier one
        known |= yield from _take_over_from(registers, configuration, source, known)

    def complete(found: Versioned) -> Verdict:
        root = root_in(configuration, found.content)
        if root.number > configuration.number or root.complete:
            return Keep()
        return Write(Root(root.number, complete=True, following=root.following).pack())

    yield from registers.change(ROOT, complete, Operation(b"complete-%d" % configuration.number))


def _take_over_from(
    registers: Registers, configuration: Configuration, source: Source, known: set[str]
) -> GroupSteps[set[str]]:
    """Take over what a source holds but for what is known already, and return what it knew of."""
    prefix, members, number = registers.prefix, source.members, b"%d" % source.number
    listed = yield from ask_group(prefix, members, EXPORT, number, agrees=b"NAMES")
    if not listed.won:
        raise NoMajority(
            f"what configuration {source.number} held cannot be listed: {listed.why()}", register=ROOT
        )
    listed_names = {name.decode() for told in listed.agreed.values() for name in told}
    names = sorted(listed_names - known - {ROOT})
    for at in range(0, len(names), AT_ONCE):
        some = names[at : at + AT_ONCE]
        told = yield from ask_group(
            prefix, members, EXPORT, number, *(name.encode() for name in some), agrees=b"EXPORT"
        )
        if not told.won:
            raise NoMajority(
                f"what configuration {source.number} held cannot be read: {told.why()}", register=ROOT
            )
        inherited = {}
        for index, name in enumerate(some):
            part = (answer[4 * index : 4 * index + 4] for answer in told.agreed.values())
            found = highest_of(name, len(members), part)
            if found.packed and not _is_deleted(registers, name, found):
                inherited[name] = found.packed
        for batch in batches(inherited):
            left = yield from registers.take_over(configuration, batch)
            for name in left:
                yield from registers.read(name)
    return listed_names


def batches(values: Mapping[str, bytes]) -> list[dict[str, bytes]]:
    """Return values in parts, each of which an acceptor that is busy can be sent at once."""
    parts: list[dict[str, bytes]] = []
    size = BATCH_BYTES
    for name, packed in values.items():
        if size + len(packed) > BATCH_BYTES:
            parts.append({})
            size = 0
        parts[-1][name] = packed
        size += len(packed)
    return parts


def _is_deleted(registers: Registers, name: str, found: Found) -> bool:
    """Tell whether a register stays behind, which is how tombstones end.

    Only one that was chosen does: of one that some accepted, others who read other acceptors know nothing, and take
    over what was before it.
    """
    return found.chosen and registers.packing.unpack(name, found.packed).content is None


def drop_previous(registers: Registers) -> GroupSteps[int]:
    """Remove what acceptors still hold of the configuration before, and return of how many nothing is left.

    Those that cannot be reached keep it, sealed, for ever: it does no harm.
    """
    configuration = yield from completed(registers)
    emptied = 0
    for number, member in (
        (each.number, member) for each in configuration.sources for member in each.members
    ):
        while True:
            told = yield from ask_group(
                registers.prefix,
                [member],
                DROP,
                b"%d" % number,
                b"%d" % AT_ONCE,
                agrees=b"DROPPED",
            )
            if not told.won:
                break
            if told.agreed[0][0] == b"0":
                emptied += 1
                break
    return emptied
