"""Where the registers of a mesh are, as its data node remembers: they must not be made twice.

The data node holds one line: the number of the configuration that was seen last (0 while the first is being made) and
its members. Whoever finds acceptors that are empty, knows by it whether they are new or were emptied; and whoever names
others, or none, finds those that hold the registers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from taskmesh.consensus.configuration import Configuration, Member, pack_members, read_members
from taskmesh.core import keys
from taskmesh.core.steps import OUT, Call, Round
from taskmesh.nodes.address import DATA_NODE
from taskmesh.replication.ask import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taskmesh.core.steps import GroupSteps, Session, Steps

#: Stands for the instance of an acceptor that is not made yet.
_NOT_MADE = "0"


class Seat(NamedTuple):
    """What the data node remembers.

    Attributes:
        number: Of the configuration; 0 while the first is being made.
        members: Its acceptors.
    """

    number: int
    members: tuple[Member, ...]

    @property
    def addresses(self) -> list[str]:
        """Where they are."""
        return [member.address for member in self.members]


def _packed(number: int, members: tuple[Member, ...]) -> bytes:
    return f"{number} {pack_members(members)}".encode()


def _read(packed: bytes) -> Seat:
    number, _, members = packed.decode().partition(" ")
    return Seat(int(number), read_members(members))


def read_seat(session: Session) -> Steps[Seat | None]:
    """Return where the registers are; None if nobody made them yet."""
    packed = yield from plain(session, b"GET", keys.seat(session.prefix))
    return None if packed is None else _read(packed)


def ask_seat(prefix: bytes) -> GroupSteps[Configuration | None]:
    """Return which configuration the data node saw last, asked among the acceptors; None if it does not tell."""
    (told,) = yield Round(
        [Call(None, b"", (b"GET", keys.seat(prefix)), node=DATA_NODE)], lambda replies: replies[0] is not OUT
    )
    seat = _read(told) if isinstance(told, bytes) else None
    return None if seat is None or not seat.number else Configuration(seat.number, seat.members)


def claim_seat(session: Session, addresses: Sequence[str]) -> Steps[Seat]:
    """Return where the registers are; if nobody made them yet, they are to be made at these addresses."""
    key = keys.seat(session.prefix)
    wanted = _packed(0, tuple(Member(_NOT_MADE, address) for address in addresses))
    packed = yield from plain(session, b"GET", key)
    if packed is None:
        yield from plain(session, b"SETNX", key, wanted)
        packed = yield from plain(session, b"GET", key)
    return _read(packed or wanted)


def note_seat(session: Session, configuration: Configuration) -> Steps[None]:
    """Remember a configuration, unless a later one is remembered."""
    key = keys.seat(session.prefix)
    packed = yield from plain(session, b"GET", key)
    if packed is None or _read(packed).number < configuration.number:
        yield from plain(session, b"SET", key, _packed(configuration.number, configuration.members))


def forget_seat(session: Session) -> Steps[None]:
    """Let the first configuration be made anew."""
    yield from plain(session, b"DEL", keys.seat(session.prefix))
