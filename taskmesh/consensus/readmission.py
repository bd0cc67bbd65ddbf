"""Going on with what there is, after more was lost than acceptors can make good: an operator's decision."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from taskmesh.consensus.admission import Rules, Standing, admit, newest_of, note_of
from taskmesh.consensus.chain import Looked
from taskmesh.consensus.configuration import ROOT, Configuration, Member
from taskmesh.consensus.keeping import read_keeping
from taskmesh.consensus.quorum import majority
from taskmesh.consensus.registers import Registers
from taskmesh.consensus.replacement import NewInstance, renamed
from taskmesh.consensus.scripts import ADMIT
from taskmesh.core.steps import OUT, Call, GroupSteps, Round
from taskmesh.errors import AgreementError


def readmit(
    registers: Registers,
    rules: Rules,
    new_instance: NewInstance,
    addresses: Sequence[str],
    lost: Collection[str],
) -> GroupSteps[bool]:
    """Admit whoever has any memory; if those are no majority, go over to them and to new instances.

    What only those knew that are lost, is lost. Members that do not answer must be said to be lost for good: coming
    back later they would go on as if nothing had happened.

    Args:
        registers: Of the mesh.
        rules: Of admission.
        new_instance: Draws the id of an instance.
        addresses: Where acceptors may be.
        lost: Addresses of those that never come back.

    Returns:
        Whether any memory is left; if not, a first configuration is to be made.

    Raises:
        AgreementError: A member does not answer that may come back.
    """
    prefix = registers.prefix
    standings = yield from admit(prefix, addresses, rules)
    keepings = yield from read_keeping(addresses)
    for address, looked, why, _ in standings:
        if why and looked is not None and looked.instance:
            yield from _admit_as_it_is(prefix, looked, note_of(keepings.get(address), rules.boot_of(address)))
    standings = yield from admit(prefix, addresses, rules)
    configuration = newest_of(standings)
    if configuration is None:
        return False
    there = {
        each.looked.instance: each.address
        for each in standings
        if each.takes_part and each.looked is not None
    }
    survivors = tuple(member for member in configuration.members if member.instance in there)
    if len(survivors) >= majority(len(configuration.members)):
        return True
    others = yield from _others(registers, rules, new_instance, standings, configuration, survivors, lost)
    chain = registers.chain
    following = Configuration(configuration.number + 1, (*survivors, *others), survivors)
    yield from chain.open(following)
    chain.enter(following)
    return True


def _others(
    registers: Registers,
    rules: Rules,
    new_instance: NewInstance,
    standings: Sequence[Standing],
    configuration: Configuration,
    survivors: Sequence[Member],
    lost: Collection[str],
) -> GroupSteps[list[Member]]:
    """Make new instances where members were that have lost everything."""
    by_address = {each.address: each.looked for each in standings if each.looked is not None}
    out = [member for member in configuration.members if member not in survivors]
    out = [member for member in out if member.address not in lost]
    # all are looked at before one is changed
    for member in out:
        if member.address not in by_address:
            raise AgreementError(
                f"acceptor {member.address} does not answer: start it, for it may know what others have lost; if it "
                f"never comes back, say so: --lost {member.address}",
                register=ROOT,
            )
    others = []
    for member in out:
        looked = by_address[member.address]
        instance = looked.instance
        if not looked.answers:
            instance = yield from renamed(registers.prefix, rules, new_instance, looked)
        others.append(Member(instance, member.address))
    return others


def _admit_as_it_is(prefix: bytes, looked: Looked, note: str) -> GroupSteps[None]:
    """Admit one, whatever it has forgotten."""
    args = (looked.instance, looked.admitted, "0", note, looked.run)
    yield Round(
        [Call(ADMIT, prefix, tuple(word.encode() for word in args), node=looked.address)],
        lambda replies: replies[0] is not OUT,
    )
