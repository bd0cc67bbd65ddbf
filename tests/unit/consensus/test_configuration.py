"""Configurations and root registers, as acceptors keep them."""

from __future__ import annotations

import msgspec
import pytest

from taskmesh.consensus.configuration import (
    Configuration,
    Member,
    Root,
    pack_members,
    read_configuration,
    read_root,
    root_in,
)
from taskmesh.errors import NewerFormat, UsageError

OLD = (Member("a1", "10.0.0.1:7000"), Member("b2", "unix:/run/a@b.sock"))
NEW = (Member("c3", "[::1]:7000"),)


def test_a_configuration_comes_back() -> None:
    for configuration in (Configuration(1, OLD), Configuration(7, NEW, OLD)):
        assert read_configuration(configuration.number, configuration.packed()) == configuration


@pytest.mark.parametrize(
    "member", [Member("", "a"), Member("a", ""), Member("a@b", "c"), Member("a", "b c"), Member("a", "b|c")]
)
def test_what_cannot_be_told_apart_later_is_refused(member: Member) -> None:
    with pytest.raises(UsageError, match="an id of letters and digits, and an address without blanks"):
        pack_members((member,))


def test_a_root_comes_back_and_bears_what_newer_ones_add() -> None:
    root = Root(3, complete=True, following="a1@x")
    assert read_root(root.pack()) == root
    assert read_root(msgspec.msgpack.encode((*root, "more"))) == root
    with pytest.raises(NewerFormat, match="the root register cannot be read"):
        read_root(b"\xc1")


def test_a_root_that_was_inherited_says_nothing_of_this_configuration() -> None:
    """It says that the one before it was complete, and went on to this one."""
    inherited = Root(1, complete=True, following="c3@x").pack()
    assert root_in(Configuration(2, NEW, OLD), inherited) == Root(2, complete=False)


def test_a_later_root_is_not_taken_for_none() -> None:
    """Who decides in a configuration that others have left must not write into the root of theirs."""
    later = Root(3, complete=False)
    assert root_in(Configuration(2, NEW, OLD), later.pack()) == later


def test_the_first_configuration_takes_over_nothing() -> None:
    assert root_in(Configuration(1, OLD), None) == Root(1, complete=True)
    assert root_in(Configuration(2, NEW, OLD), None) == Root(2, complete=False)
