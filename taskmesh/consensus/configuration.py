"""Configurations: of which acceptors a majority counts, and what they were before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import msgspec

from taskmesh.errors import NewerFormat, UsageError

#: The register that every configuration has: whether it is complete, and what follows it.
ROOT = "root"


class Member(NamedTuple):
    """One acceptor.

    Attributes:
        instance: Its random id: an emptied or replaced server has another one, whatever its address.
        address: Where it was last found.
    """

    instance: str
    address: str


class Source(NamedTuple):
    """What a configuration takes registers over from.

    Attributes:
        number: Of an earlier configuration.
        members: Its acceptors, or those that are left.
    """

    number: int
    members: tuple[Member, ...]


class Configuration(NamedTuple):
    """One configuration.

    Attributes:
        number: 1 for the first.
        members: Its acceptors.
        previous: Those of the configuration before it; none for the first.
        readmitted_from: Where an operator went on with what was left: all that it takes over from, the latest first. A
            register that one of them does not know may be known by the next, which that one had not taken over yet.
    """

    number: int
    members: tuple[Member, ...]
    previous: tuple[Member, ...] = ()
    readmitted_from: tuple[Source, ...] = ()

    @property
    def sources(self) -> tuple[Source, ...]:
        """All that it takes over from, the latest first; none for the first configuration."""
        if self.readmitted_from or not self.previous:
            return self.readmitted_from
        return (Source(self.number - 1, self.previous),)

    def differs(self, other: Configuration) -> bool:
        """Tell whether it is another one with the same number: then one of them was lost, and made anew."""
        return self.number == other.number and set(self.members) != set(other.members)

    def packed(self) -> bytes:
        """Return members and those before them as acceptors keep them: `id@address id@address|...`.

        After a readmission there is a number and its members for each source: `...||7|id@address|5|...`.
        """
        parts = [pack_members(self.members), pack_members(self.previous)]
        for source in self.readmitted_from:
            parts += [str(source.number), pack_members(source.members)]
        return "|".join(parts).encode()


def pack_members(members: tuple[Member, ...]) -> str:
    """Return members as text."""
    for member in members:
        if not member.instance.isalnum() or not member.address or set(member.address) & set(" |"):
            raise UsageError(f"acceptor {member}: an id of letters and digits, and an address without blanks")
    return " ".join(f"{member.instance}@{member.address}" for member in members)


@lru_cache(maxsize=64)
def read_members(text: str) -> tuple[Member, ...]:
    """Return the members of a text of `pack_members`."""
    return tuple(Member(*each.split("@", 1)) for each in text.split())


def read_configuration(number: int, packed: bytes) -> Configuration:
    """Return the configuration that an acceptor told."""
    members, previous, *sources = packed.decode().split("|")
    return Configuration(
        number,
        read_members(members),
        read_members(previous),
        tuple(
            Source(int(each), read_members(group))
            for each, group in zip(sources[::2], sources[1::2], strict=True)
        ),
    )


def latest_of(known: Iterable[Configuration]) -> Configuration | None:
    """Return the latest configuration of those that acceptors know; None if they know none.

    Where two have that number, one of them was decided by who was lost then: it is the one that fewer know.
    """
    counts = Counter(known)
    return max(counts, key=lambda each: (each.number, counts[each]), default=None)


class Root(NamedTuple):
    """What a configuration's root register says.

    Attributes:
        number: Of its configuration.
        complete: Whether it holds all that the one before it held.
        following: Members of the next configuration, once that is decided; empty before.
    """

    number: int
    complete: bool
    following: str = ""

    def pack(self) -> bytes:
        """Return it as the register's content."""
        return msgspec.msgpack.encode(tuple(self))


def read_root(content: bytes) -> Root:
    """Return what a root register says."""
    try:
        number, complete, following, *_ = msgspec.msgpack.decode(content, type=list)
    except (msgspec.DecodeError, ValueError) as error:
        raise NewerFormat(f"the root register cannot be read: {error}") from error
    return Root(number, complete, following)


def root_in(configuration: Configuration, content: bytes | None) -> Root:
    """Return what a root register says of a configuration, or of a later one.

    What it inherited is of the one before, and says of this one only that it is not complete.
    """
    root = None if content is None else read_root(content)
    if root is not None and root.number >= configuration.number:
        return root
    return Root(configuration.number, complete=configuration.number == 1)
