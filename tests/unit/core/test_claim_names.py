"""A claim's name tells its node and its sequence."""

from __future__ import annotations

import pytest

from taskmesh.core.claim_names import claim_name, node_of, sequence_of


@pytest.mark.parametrize("node", ["", "n1", "n255", "n70000"])
@pytest.mark.parametrize("sequence", [0, 1, 0xFFFFFFFF])
def test_both_can_be_read_from_it(node, sequence):
    name = claim_name(node, sequence)
    assert (node_of(name), sequence_of(name)) == (node, sequence)
    assert name < 1 << 63  # the page has eight bytes for it


def test_of_the_only_node_it_is_the_sequence():
    assert claim_name("", 7) == 7


def test_no_claim_is_of_no_other_node():
    assert node_of(-1) == ""
