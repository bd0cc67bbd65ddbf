"""Other acceptors: decide, open the new, seal the old, take over each register by consensus.

Anybody may go on where another stopped; each step is harmless when repeated. Copying the old ones' values and switching
over would not do: two who read different majorities can carry different values that only some had accepted, and both
would count (`docs/divergence.md`).
"""

from __future__ import annotations

from collections.abc import Sequence

from taskmesh.consensus.configuration import (
    ROOT,
    Configuration,
    Member,
    Root,
    pack_members,
    read_members,
    read_root,
)
from taskmesh.consensus.group import ask_group
from taskmesh.consensus.proposer import highest_of
from taskmesh.consensus.registers import Keep, Operation, Registers, Verdict, Versioned, Write
from taskmesh.consensus.scripts import DROP, EXPORT
from taskmesh.core.steps import GroupSteps
from taskmesh.errors import NoMajority

#: Registers that are taken over, or dropped, in one step.
AT_ONCE = 100


def reconfigure(
    registers: Registers, members: Sequence[Member], operation: Operation
) -> GroupSteps[Configuration]:
    """Go over to other acceptors, and return the configuration that is in force then.

    If another change is under way, that one is finished first; if it was decided at the same time, it is the one that
    counts, and what is returned has other members than asked for.

    Raises:
        ChangeRejected, ChangeUnknown: Too few acceptors answered; begin again, with the same operation.
    """
    configuration = yield from completed(registers)
    wanted = pack_members(tuple(members))

    def decide(found: Versioned) -> Verdict:
        root = _root(configuration, found)
        return Keep() if root.following else Write(Root(root.number, root.complete, wanted).pack())

    changed = yield from registers.change(ROOT, decide, operation)
    root = _root(configuration, Versioned(changed.version, changed.content))
    following = Configuration(configuration.number + 1, read_members(root.following), configuration.members)
    chain = registers.chain
    yield from chain.open(following)
    yield from chain.seal(configuration)
    chain.enter(following)
    return (yield from completed(registers))


def completed(registers: Registers) -> GroupSteps[Configuration]:
    """Return the configuration in force, after everything was taken over into it.

    Raises:
        ChangeRejected, ChangeUnknown: Too few acceptors answered.
    """
    chain = registers.chain
    while True:
        configuration = yield from chain.current()
        if chain.is_complete(configuration):
            return configuration
        found = yield from registers.read(ROOT)
        if (yield from chain.current()) != configuration:
            continue
        if _root(configuration, found).complete:
            chain.note_complete(configuration)
            return configuration
        yield from _take_over(registers, configuration)


def _take_over(registers: Registers, configuration: Configuration) -> GroupSteps[None]:
    previous, number = configuration.previous, b"%d" % (configuration.number - 1)
    prefix = registers.prefix
    listed = yield from ask_group(prefix, previous, EXPORT, number, agrees=b"NAMES")
    if not listed.won:
        raise NoMajority(
            f"what configuration {configuration.number - 1} held cannot be listed: {listed.why()}",
            register=ROOT,
        )
    names = sorted({name.decode() for told in listed.agreed.values() for name in told} - {ROOT})
    for at in range(0, len(names), AT_ONCE):
        some = names[at : at + AT_ONCE]
        told = yield from ask_group(
            prefix, previous, EXPORT, number, *(name.encode() for name in some), agrees=b"EXPORT"
        )
        if not told.won:
            raise NoMajority(
                f"what configuration {configuration.number - 1} held cannot be read: {told.why()}",
                register=ROOT,
            )
        for index, name in enumerate(some):
            part = (answer[4 * index : 4 * index + 4] for answer in told.agreed.values())
            packed = highest_of(name, len(previous), part).packed
            # what was deleted stays behind: this is how tombstones end
            if packed and registers.packing.unpack(name, packed).content is not None:
                yield from registers.change(name, _keep, Operation(b""))

    def complete(found: Versioned) -> Verdict:
        root = _root(configuration, found)
        return (
            Keep()
            if root.complete
            else Write(Root(root.number, complete=True, following=root.following).pack())
        )

    yield from registers.change(ROOT, complete, Operation(b"complete-%d" % configuration.number))


def drop_previous(registers: Registers) -> GroupSteps[int]:
    """Remove what acceptors still hold of the configuration before, and return of how many nothing is left.

    Those that cannot be reached keep it, sealed, for ever: it does no harm.
    """
    configuration = yield from completed(registers)
    emptied = 0
    for member in configuration.previous:
        while True:
            told = yield from ask_group(
                registers.prefix,
                [member],
                DROP,
                b"%d" % (configuration.number - 1),
                b"%d" % AT_ONCE,
                agrees=b"DROPPED",
            )
            if not told.won:
                break
            if told.agreed[0][0] == b"0":
                emptied += 1
                break
    return emptied


def _root(configuration: Configuration, found: Versioned) -> Root:
    root = None if found.content is None else read_root(found.content)
    if root is not None and root.number == configuration.number:
        return root
    return Root(configuration.number, complete=configuration.number == 1)


def _keep(_: Versioned) -> Verdict:
    return Keep()
