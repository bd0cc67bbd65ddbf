"""When a child is old."""

from __future__ import annotations

import os

from taskmesh.worker.age import Age, private_bytes


def held_never():
    raise AssertionError("the memory is read though there is no limit")


def test_without_limits_nobody_gets_old():
    age = Age(0, 0, held_never)
    assert age.most(200) == 200
    assert age.ran(10**9, 1e9) == ""


def test_claims_never_go_beyond_the_limit():
    age = Age(10, 0, held_never)
    assert age.most(200) == 10
    assert age.ran(7, 1.0) == ""
    assert age.most(200) == 3
    assert age.most(2) == 2
    assert "it has run 10 tasks" in age.ran(3, 1.0)


def test_memory_is_read_once_a_second_at_most():
    read = []
    age = Age(0, 100 << 20, lambda: read.append(1) or 50 << 20)
    for now_s in (10.0, 10.5, 10.99, 11.0, 11.5):
        assert age.ran(1, now_s) == ""
    assert len(read) == 2


def test_too_much_memory_is_said_with_both_figures():
    assert "250.0 MB, and max_memory_per_child is 200.0 MB" in Age(0, 200_000_000, lambda: 250_000_000).ran(
        1, 0.0
    )


def test_what_a_process_allocates_is_its_own():
    def grows() -> bool:
        before = private_bytes()
        kept = os.urandom(1) * (30 << 20)
        return private_bytes() - before > len(kept) * 2 // 3

    # other tests have left threads behind, which may give back as much in that moment
    assert any(grows() for _ in range(5))
