"""Where the nodes of a mesh of several are, as a process finds them."""

from __future__ import annotations

import pytest

from taskmesh.nodes.address import NodeAddress
from taskmesh.nodes.several import Several

NODES = {
    "redis://user:secret@10.0.0.1:6379": ("redis://10.0.0.4:6379", "redis://user:secret@10.0.0.4:6379"),
    "redis://:secret@10.0.0.1:6379/0": ("redis://10.0.0.4:7000/0", "redis://:secret@10.0.0.4:7000/0"),
    "unix:///run/a/s": ("unix:///run/b/s", "unix:///run/b/s"),
    "unix:///run/a/s?password=secret": ("unix:///run/b/s", "unix:///run/b/s?password=secret"),
    "unix://user@/run/a/s": ("unix:///run/b/s", "unix://user@/run/b/s"),
    "rediss://:secret@10.0.0.1:6379": ("unix:///run/b/s", "unix:///run/b/s"),
}


@pytest.mark.parametrize("seed", NODES)
def test_a_node_that_was_not_named_is_reached_as_those_that_were(seed: str) -> None:
    several = Several([NodeAddress(seed)], connect_timeout_s=1, answer_timeout_s=1, name="test")
    address, reached = NODES[seed]
    place, run_id = several.place(address)
    assert (place.url, run_id) == (reached, None)
    several.driver.member(address)  # it is an address that can be connected to
    several.close()
