"""The first configuration: made once, when all acceptors that the user names answer and none has any."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from taskmesh.consensus.apart import check_servers
from taskmesh.consensus.chain import Looked, look
from taskmesh.consensus.configuration import Configuration, Member, read_configuration
from taskmesh.consensus.scripts import ADMIT, INIT
from taskmesh.core.steps import OUT, Call, GroupSteps, Reply, Round
from taskmesh.errors import NoMajority

FIRST = 1


def fit(prefix: bytes, addresses: Sequence[str]) -> GroupSteps[dict[str, Looked]]:
    """Return what the acceptors say of themselves; nothing is made.

    Raises:
        NoMajority: There is no configuration yet and none can be made, since one of them does not answer.
        UsageError: Nor if two addresses lead to one server.
    """
    refusals: dict[str, str] = {}
    found_now = yield from look(prefix, addresses, len(addresses), refusals=refusals)
    if any(each.latest is not None for each in found_now.values()):
        return found_now
    if silent := [address for address in addresses if address not in found_now]:
        raise NoMajority(
            f"the acceptors {', '.join(addresses)} hold no registers of this mesh yet, and {', '.join(silent)} "
            f"{'does' if len(silent) == 1 else 'do'} not answer: all must, the first time"
            + "".join(f"; {address} refuses: {why}" for address, why in refusals.items()),
            register="root",
        )
    check_servers(found_now.values())
    return found_now


def found(
    prefix: bytes, addresses: Sequence[str], new_instance: Callable[[], str], boots: Callable[[str], str]
) -> GroupSteps[dict[str, Looked]]:
    """Make the first configuration unless there is one, and return what the acceptors say of themselves.

    Many may do so at once: instances are made only where there is none, and the members are written down first by the
    one whose id is the lowest, whose text all others take.

    A disk may be lost meanwhile, and its acceptor made again, so that two lists of members are about. No acceptor is
    opened for both, and both have the number 1, so those whom both name answer whichever list one goes by. Say k of n
    are lost, a minority. A majority of the older list that used one of the lost was there before that was made again;
    so it was seen by the second look of whoever lists the new one, in one of those that are left, and its list was
    taken. A majority that used none of them is within the n - k whom both name, and one of the newer list has at most k
    others: together they would be more than n, so they meet.

    Args:
        prefix: Of the mesh's keys.
        addresses: Of all acceptors.
        new_instance: Draws an instance id.
        boots: Returns the boot id of an acceptor's machine; empty if nobody knows.

    Raises:
        NoMajority: None can be made, since one of them does not answer.
        UsageError: Two addresses lead to one server.
    """
    found_now = yield from fit(prefix, addresses)
    if any(each.latest is not None for each in found_now.values()):
        return found_now
    for address, each in found_now.items():
        if not each.instance:
            yield from _tell(
                Call(
                    ADMIT,
                    prefix,
                    (new_instance().encode(), b"", b"0", boots(address).encode(), each.run.encode()),
                    node=address,
                )
            )
    seen = yield from look(prefix, addresses, len(addresses))
    # Twice: of one look the answers come from different moments. The first says who the members are, the second that
    # none of them was opened yet when all of them were there
    found_now = yield from look(prefix, addresses, len(addresses))
    members = tuple(sorted(Member(each.instance, each.address) for each in found_now.values()))
    if (
        len(found_now) < len(addresses)
        or not all(each.answers for each in found_now.values())
        or {each.instance for each in seen.values()} != {member.instance for member in members}
    ):
        raise NoMajority(
            "an acceptor stopped or was started anew while the first configuration was made: begin again",
            register="root",
        )
    configuration = next(
        (each.latest for each in found_now.values() if each.latest is not None), Configuration(FIRST, members)
    )
    for member in members:
        told = yield from _tell(
            Call(
                INIT,
                prefix,
                (member.instance.encode(), b"%d" % FIRST, configuration.packed()),
                node=member.address,
            )
        )
        if isinstance(told, list) and told[0] == b"OTHERMEMBERS":
            # another process named them by other addresses, and was first
            configuration = read_configuration(FIRST, told[1])
    return (yield from look(prefix, addresses, len(addresses)))


def _tell(call: Call) -> GroupSteps[Reply]:
    (reply,) = yield Round([call], lambda replies: replies[0] is not OUT)
    return reply
