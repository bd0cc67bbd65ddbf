"""Names of schedules, registers and firings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmesh.coordination.firing import (
    SCHEDULE_NAME_LENGTH_MAX,
    SHARDS,
    check_schedule_name,
    firing_id,
    read_firing_id,
    schedule_of_register,
    schedule_register,
    shard_of,
)
from taskmesh.core.ids import check_task_id
from taskmesh.errors import UsageError

names = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="@"), min_size=1, max_size=175
)


def test_a_firing_is_named_after_its_schedule_and_moment():
    assert firing_id("nightly", 1_774_746_000_000) == "nightly@2026-03-29T01:00:00Z"
    assert firing_id("often", 1_774_746_000_250) == "often@2026-03-29T01:00:00.250Z"


@given(names.filter(lambda name: not name.startswith("-")), st.integers(0, 253_086_768_000_000 - 1))
def test_any_name_and_moment_make_an_id_from_which_they_are_read_again(name, nominal_ms):
    made = firing_id(check_schedule_name(name), nominal_ms)
    assert check_task_id(made) == made
    assert read_firing_id(made) == (name, nominal_ms)


@pytest.mark.parametrize(
    "other",
    [
        "",
        "nightly",
        "nightly@",
        "@2026-03-29T01:00:00Z",
        "nightly@2026-03-29T01:00:00",
        "nightly@2026-03-29T01:00:00.000Z",
        "nightly@2026-03-29T03:00:00+02:00",
        "018f0000-0000-7000-8000-000000000000",
    ],
)
def test_another_id_is_not_taken_for_a_firing(other):
    assert read_firing_id(other) is None


@pytest.mark.parametrize("name", ["", "a b", "a@b", "-a", "é", "a\n", "x" * 176, None, 7])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(UsageError, match="the name of a schedule"):
        check_schedule_name(name)


def test_the_longest_name_makes_the_longest_id():
    assert len(firing_id("x" * SCHEDULE_NAME_LENGTH_MAX, 1_774_746_000_250)) == 200


def test_schedules_are_spread_over_the_shards():
    counts = [0] * SHARDS
    for number in range(10_000):
        counts[shard_of(f"schedule-{number}")] += 1
    assert min(counts) > 90
    assert max(counts) < 230


def test_a_register_is_named_after_its_schedule():
    assert schedule_register("a/b") == "sched/a/b"
    assert schedule_of_register("sched/a/b") == "a/b"
    assert schedule_of_register("cursor/1") is None
