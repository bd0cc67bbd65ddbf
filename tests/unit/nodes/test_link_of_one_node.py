"""A mesh of one node has one link, by whatever name its node is asked for."""

from __future__ import annotations

from taskmesh.codec.keyring import Keyring
from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.link import Link


def test_its_only_node_has_no_name_and_is_the_link_itself() -> None:
    link = Link("one", lambda: [NodeAddress("valkey://localhost")], Keyring.new, slots=16)
    assert link.nodes == ("",)
    assert link.at("") is link
