"""The clock of a node, as it was measured."""

from __future__ import annotations

import time

from taskmesh.nodes.node_clock import SLOW_S, NodeClock


def test_a_quick_reading_is_taken_for_the_middle_of_its_time() -> None:
    clock, now_s = NodeClock(), time.monotonic()
    clock.measured(now_s + 5000, now_s - SLOW_S / 3, now_s + SLOW_S / 3)
    assert abs(clock._offset_s - 5000) < 0.001


def test_a_reading_during_which_somebody_stood_still_changes_nothing_that_it_may_be() -> None:
    clock, now_s = NodeClock(), time.monotonic()
    clock.measured(now_s + 5000, now_s, now_s)
    first_s = clock._offset_s
    # it told the time at once, and its answer was read 30 s later; or it told it late
    clock.measured(now_s + 5000, now_s, now_s + 30)
    clock.measured(now_s + 5030, now_s, now_s + 30)
    assert abs(clock._offset_s - first_s) < 1e-6


def test_a_reading_of_a_fifth_of_a_second_begins_nothing_a_tenth_too_early() -> None:
    clock, now_s = NodeClock(), time.monotonic()
    clock.measured(now_s + 5000, now_s, now_s)
    first_s = clock._offset_s
    clock.measured(now_s + 5000.2, now_s, now_s + 0.2)
    assert abs(clock._offset_s - first_s) < 1e-6


def test_a_slow_reading_corrects_what_cannot_be() -> None:
    clock, now_s = NodeClock(), time.monotonic()
    clock.measured(now_s + 5000, now_s, now_s)
    clock.measured(now_s + 9030, now_s, now_s + 30)
    assert abs(clock._offset_s - 9000) < 0.001
    clock.measured(now_s + 5000, now_s, now_s + 30)
    assert abs(clock._offset_s - 5000) < 0.001
