"""A node that comes and goes has to wait longer for being taken in, until it has been steady for a while."""

from __future__ import annotations

from taskmesh.scheduler.steadiness import FORGIVEN, STEADY_S, STEADY_S_MAX, Steadiness

NODES = ("n1", "n2")


def comes_and_goes(node: Steadiness, times: int, up_s: float, now_s: float = 0.0) -> float:
    for _ in range(times):
        node.note(NODES, ["n1"], now_s)
        now_s += up_s
        node.note(NODES, [], now_s)
        now_s += 1.0
    return now_s


def test_one_that_answers_for_a_second_is_steady() -> None:
    steadiness = Steadiness()
    steadiness.note(NODES, ["n1"], 5.0)
    assert not steadiness.holds("n1", 5.0 + STEADY_S / 2)
    assert steadiness.holds("n1", 5.0 + STEADY_S)
    assert not steadiness.holds("n2", 100.0)


def test_each_return_doubles_how_long_it_has_to_answer() -> None:
    steadiness = Steadiness()
    now_s = comes_and_goes(steadiness, 4, 0.5)
    steadiness.note(NODES, ["n1"], now_s)
    assert steadiness.needed_s("n1") == 16 * STEADY_S
    assert not steadiness.holds("n1", now_s + 15 * STEADY_S)
    assert steadiness.holds("n1", now_s + 16 * STEADY_S)
    assert steadiness.needed_s("n2") == STEADY_S


def test_nobody_waits_for_ever() -> None:
    steadiness = Steadiness()
    comes_and_goes(steadiness, 40, 0.5)
    assert steadiness.needed_s("n1") == STEADY_S_MAX


def test_who_was_steady_for_long_is_forgiven() -> None:
    steadiness = Steadiness()
    now_s = comes_and_goes(steadiness, 4, 0.5)
    now_s = comes_and_goes(steadiness, 1, FORGIVEN * 16 * STEADY_S, now_s)
    steadiness.note(NODES, ["n1"], now_s)
    assert steadiness.needed_s("n1") == 2 * STEADY_S


def test_losses_that_are_far_apart_never_add_up() -> None:
    steadiness = Steadiness()
    now_s = comes_and_goes(steadiness, 50, 20.0)
    steadiness.note(NODES, ["n1"], now_s)
    assert steadiness.needed_s("n1") <= 2 * STEADY_S
