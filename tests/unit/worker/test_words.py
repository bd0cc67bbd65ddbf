"""What a worker says of its tasks."""

from __future__ import annotations

from taskmesh.worker.words import NAMES_MAX, tasks_in_words


def test_tasks_are_named():
    assert tasks_in_words((), (), ("default",)) == "tasks 0"
    assert tasks_in_words(("a", "b"), ("default", "mail"), ("default", "mail")) == "tasks 2: a, b"


def test_it_is_said_which_of_them_it_will_not_be_given():
    told = tasks_in_words(("a", "b", "c"), ("default", "mail", "slow"), ("default",))
    assert told == "tasks 3: a, b, c; to queues that it does not serve go b (mail), c (slow)"


def test_a_line_does_not_grow_without_end():
    names = [f"t{number}" for number in range(NAMES_MAX + 3)]
    told = tasks_in_words(names, ["default"] * len(names), ("default",))
    assert told.endswith(f"t{NAMES_MAX - 1} and 3 more")
