"""Another instance in the place of an acceptor that may have forgotten, and other members altogether."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from taskmesh.consensus.admission import Rules, Standing, admit, note_of
from taskmesh.consensus.apart import check_addresses, check_servers
from taskmesh.consensus.chain import Looked
from taskmesh.consensus.configuration import ROOT, Configuration, Member
from taskmesh.consensus.keeping import read_keeping
from taskmesh.consensus.reconfigure import completed, drop_previous, reconfigure
from taskmesh.consensus.registers import Operation, Registers
from taskmesh.consensus.scripts import RENAME
from taskmesh.core.steps import OUT, Call, GroupSteps, Round
from taskmesh.errors import AgreementError

NewInstance = Callable[[], str]


def in_force(registers: Registers) -> GroupSteps[Configuration]:
    """Return the configuration that counts now, not the one that this process last heard of.

    Raises:
        NoMajority: Too few acceptors take part.
    """
    yield from registers.read(ROOT)
    return (yield from completed(registers))


def replace_forgetful(
    registers: Registers, rules: Rules, new_instance: NewInstance, operation: Operation
) -> GroupSteps[Configuration]:
    """Put another instance at the address of each member that answers and cannot be admitted.

    Those that do not answer stay what they are: they may come back with all that they knew.

    Returns:
        The configuration in force then; the one before if there was nothing to do, and another if somebody else
        changed it meanwhile.

    Raises:
        ChangeRejected, ChangeUnknown: Too few acceptors take part; begin again, with the same operation.
    """
    configuration = yield from in_force(registers)
    addresses = [member.address for member in configuration.members]
    return (yield from change_members(registers, rules, new_instance, operation, addresses))


def change_members(
    registers: Registers,
    rules: Rules,
    new_instance: NewInstance,
    operation: Operation,
    addresses: Sequence[str],
) -> GroupSteps[Configuration]:
    """Have the acceptors at these addresses hold the registers, and no others.

    Args:
        registers: Of the mesh.
        rules: Who may be admitted.
        new_instance: Draws the id of an instance.
        operation: The wish.
        addresses: Of all that are to be members; new ones are made if they are empty.

    Raises:
        AgreementError: A new one does not answer, or would forget while it runs.
        ChangeRejected, ChangeUnknown: Too few acceptors take part; begin again, with the same operation.
        UsageError: One is named twice, by one address or by two.
    """
    check_addresses(addresses)
    configuration = yield from in_force(registers)
    standings = yield from admit(registers.prefix, addresses, rules)
    check_servers(each.looked for each in standings if each.looked is not None)
    known = {member.address: member for member in configuration.members}
    members = []
    for standing in standings:
        member = yield from _member_at(
            registers.prefix, rules, new_instance, standing, known.get(standing.address)
        )
        members.append(member)
    if set(members) == set(configuration.members):
        return configuration
    changed = yield from reconfigure(registers, members, operation, if_number=configuration.number)
    yield from drop_previous(registers)
    return changed


def _member_at(
    prefix: bytes, rules: Rules, new_instance: NewInstance, standing: Standing, known: Member | None
) -> GroupSteps[Member]:
    """Return who is to be the member at an address."""
    looked, address = standing.looked, standing.address
    if looked is None:
        if known is None:
            raise AgreementError(
                f"{address} does not answer: an acceptor that is to come in must be there", register="root"
            )
        return known
    if standing.takes_part and known is not None:
        return Member(looked.instance, address)
    keeping = (yield from read_keeping([address])).get(address)
    if keeping is not None and (refused := keeping.refused) is not None and address not in rules.trusted:
        if known is not None:
            return known
        raise AgreementError(
            f"{address} cannot be an acceptor: {refused.text}; remedy: {refused.remedy}", register="root"
        )
    if standing.takes_part:
        return Member(looked.instance, address)
    return Member((yield from renamed(prefix, rules, new_instance, looked)), address)


def renamed(prefix: bytes, rules: Rules, new_instance: NewInstance, looked: Looked) -> GroupSteps[str]:
    """Make another instance of a server that does not take part, and return its id.

    Raises:
        AgreementError: It was not possible; look again.
    """
    address = looked.address
    keepings = yield from read_keeping([address])
    note = note_of(keepings.get(address), rules.boot_of(address))
    args = (looked.instance, new_instance(), note, looked.run)
    replies = yield Round(
        [Call(RENAME, prefix, tuple(word.encode() for word in args), node=address)],
        lambda replies: replies[0] is not OUT,
    )
    (reply,) = replies
    if isinstance(reply, list) and reply[0] in (b"RENAMED", b"ADMITTED"):
        return str(reply[1].decode())
    raise AgreementError(f"acceptor {address} cannot be made another: {reply!r}; try again", register="root")
