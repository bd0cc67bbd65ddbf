"""Ids that are made together are ids like any other."""

from __future__ import annotations

import os
import uuid

from hypothesis import given
from hypothesis import strategies as st

from taskmesh.core.ids import created_ms_of, is_made_id, make_id, make_ids, routing_of


@given(
    st.integers(0, (1 << 48) - 1),
    st.integers(0, 65535),
    st.integers(0, 300).flatmap(lambda n: st.binary(min_size=7 * n + 1, max_size=7 * n + 1)),
)
def test_each_carries_time_and_routing(now_ms, routing, random):
    ids = make_ids(now_ms, routing, random)
    assert len(ids) == len(random) // 7
    for task_id in ids:
        assert is_made_id(task_id)
        assert uuid.UUID(task_id).version == 7
        assert uuid.UUID(task_id).variant == uuid.RFC_4122
        assert (created_ms_of(task_id), routing_of(task_id)) == (now_ms, routing)
        assert task_id[:18] == make_id(now_ms, routing, bytes(8))[:18]


def test_all_are_different():
    ids = make_ids(1, 2, os.urandom(7 * 20_000 + 1))
    assert len(set(ids)) == 20_000
