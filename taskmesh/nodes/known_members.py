"""Where the members of meshes are of which this process has heard: so that it makes no second mesh in their place.

A member that comes back with an empty disk looks as a server does on which there is no mesh yet. Who names that one
only, and has just begun, cannot tell the two apart; a process that has known the mesh can, and asks the others first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from taskmesh.replication.view import DRAINED, View

#: Prefix of a mesh's keys -> for each mesh of that name, the addresses of its members.
_known: dict[bytes, list[frozenset[str]]] = {}


def addresses_of(view: View | None) -> tuple[str, ...]:
    """Return where those members are that may keep something; none of a mesh that has one node."""
    if view is None:
        return ()
    return tuple(member.address for member in view.members if member.state != DRAINED)


def remember(prefix: bytes, addresses: Iterable[str]) -> None:
    """Remember where the members of a mesh are, in place of what was known of it.

    Args:
        prefix: Of its keys.
        addresses: Of all its members, without passwords.
    """
    now = frozenset(addresses)
    if now:
        _known[prefix] = [now, *(each for each in _known.get(prefix, ()) if not each & now)]


def beside(prefix: bytes, named: Collection[str]) -> Sequence[str]:
    """Return where the other members are of a mesh that some of those have been members of that are named now.

    Args:
        prefix: Of the mesh's keys.
        named: Addresses without passwords.
    """
    return sorted(
        address
        for each in _known.get(prefix, ())
        if not each.isdisjoint(named)
        for address in each.difference(named)
    )


def forget() -> None:
    """Know of no mesh any more: for tests, whose servers are others at addresses that were used before."""
    _known.clear()
