"""The promise of the README, in the words in which tests try it."""

from __future__ import annotations

import pytest

from tests.tidy.tree import ROOT

PROMISE = (
    "an accepted task reaches a final state, and an outcome that anyone saw never changes, as long as fewer than W "
    "replicas of it lose their data before repair"
)


@pytest.mark.parametrize("path", ["README.md", "tests/faults/test_mesh_nodes.py"])
def test_the_promise_is_said_in_the_same_words(path):
    assert PROMISE.lower() in " ".join((ROOT / path).read_text().split()).lower()
