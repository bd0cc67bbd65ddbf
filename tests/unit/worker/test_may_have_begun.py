"""What a dead child may have begun, by what it noted last."""

from __future__ import annotations

import pytest

from taskmesh.queue.claim import ELSEWHERE
from taskmesh.worker.page import NOTHING, Note
from taskmesh.worker.undertaker import may_have_begun


@pytest.mark.parametrize(
    ("sequence", "position", "may"),
    [(4, 9, True), (5, 1, True), (5, 2, True), (5, 3, False), (6, 1, False), (ELSEWHERE + 6, 1, True)],
)
def test_what_comes_after_it_has_not_unless_it_was_claimed_on_another_node(sequence, position, may):
    assert may_have_begun(Note(5, 2, 3, 0.0), sequence, position) is may


def test_all_of_a_claim_that_was_run_through_may_have():
    assert may_have_begun(Note(5, NOTHING, 0, 0.0), 5, 3)


def test_where_nobody_noted_anything_all_may_have():
    assert may_have_begun(None, 7, 1)
