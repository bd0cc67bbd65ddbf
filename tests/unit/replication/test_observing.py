"""Who counts as gone: silent for long, and not to one observer alone."""

from __future__ import annotations

import pytest

from taskmesh.replication.observing import (
    LOOK_S,
    NOTED_S,
    SILENT_S,
    WORD_S,
    Observer,
    confirmed,
    look_again_s,
    outdated,
    pack_note,
    read_note,
)

NODES = ("n1", "n2")


def test_a_node_is_silent_after_a_while_and_no_more_when_it_is_heard() -> None:
    observer = Observer(0.0, "me")
    for at in range(8):
        observer.looked(["n1"], at * 0.5, at * 0.5 + 0.1)
    assert observer.silent(NODES, 3.6) == {"n2"}
    observer.looked(["n1", "n2"], 3.6, 3.7)
    assert observer.silent(NODES, 3.8) == frozenset()


def test_who_stood_still_itself_has_seen_nothing() -> None:
    observer = Observer(0.0, "me")
    observer.looked(NODES, 0.0, 0.1)
    # stopped for a minute; the first look afterwards is answered by one only
    observer.looked(["n1"], 60.0, 61.0)
    assert observer.silent(NODES, 61.0) == frozenset()
    observer.looked(["n1"], 61.5, 62.0)
    assert observer.silent(NODES, 62.1) == {"n2"}


def test_who_stood_still_while_others_answered_has_seen_nothing() -> None:
    """Also of those that answered: when they were asked is long ago by then, and nobody is gone for that."""
    observer = Observer(0.0, "me")
    observer.looked(NODES, 0.0, 0.1)
    observer.looked(["n1"], 0.5, 4.0)
    assert observer.silent(NODES, 4.0) == frozenset()
    for at_s in (4.5, 5.0, 5.5, 6.0):
        observer.looked(["n1"], at_s, at_s + 0.1)
    assert observer.silent(NODES, 6.2) == {"n2"}


def test_one_observer_alone_does_not_decide_where_there_are_others() -> None:
    own = pack_note(100_000, ["n1"])
    silent_s = {"n1": SILENT_S + WORD_S}
    assert confirmed(silent_s, {"me": own}, "me", 100_000) == {"n1"}
    assert confirmed(silent_s, {"me": own, "you": pack_note(99_000, [])}, "me", 100_000) == frozenset()
    assert confirmed(silent_s, {"me": own, "you": pack_note(99_000, ["n1"])}, "me", 100_000) == {"n1"}
    # who has said nothing for long is no observer any more
    old = pack_note(100_000 - int(NOTED_S * 1000) - 1, [])
    assert confirmed({"n1": SILENT_S}, {"me": own, "you": old}, "me", 100_000) == {"n1"}


def test_who_was_lost_together_with_a_node_is_waited_for_a_moment_and_no_longer() -> None:
    """Its last word is of a time at which nobody could know that the node is gone."""
    notes = {"me": pack_note(100_000, ["n1"]), "you": pack_note(98_000, [])}
    assert confirmed({"n1": SILENT_S + WORD_S - 0.1}, notes, "me", 100_000) == frozenset()
    assert confirmed({"n1": SILENT_S + WORD_S}, notes, "me", 100_000) == {"n1"}
    # by then it should have seen it
    assert confirmed({"n1": SILENT_S + 2.5}, notes, "me", 100_000) == frozenset()


def test_notes_are_read_as_they_were_written() -> None:
    assert read_note(pack_note(5, ["n2", "n1"])) == (5, frozenset({"n1", "n2"}))
    assert read_note(pack_note(5, [])) == (5, frozenset())
    assert outdated({"a": pack_note(0, []), "b": pack_note(99_000, [])}, 100_000) == ["a"]


@pytest.mark.parametrize("count", [1, 8, 60, 1000])
def test_however_many_observe_a_loss_is_seen_within_a_few_seconds(count: int) -> None:
    """Each of many looks seldom, and so does not see by itself what lasts for seconds."""
    lost_s = 1000.0
    observers = [Observer(0.0, str(number)) for number in range(count)]
    looks_s = [look_again_s(count, is_unsure=False) * (1 + number / count) for number in range(count)]
    notes: dict[str, bytes] = {}
    for observer, first_s in zip(observers, looks_s, strict=True):
        # what it last noted before the loss, and when it looks first after that
        step_s = look_again_s(count, is_unsure=False)
        looks = int((lost_s - first_s) / step_s)
        observer.looked(NODES, first_s + looks * step_s, first_s + looks * step_s)
        notes[observer.name] = pack_note(int((first_s + looks * step_s) * 1000), [])
        looks_s[int(observer.name)] = first_s + (looks + 1) * step_s
    leader = Observer(lost_s, "leader")
    now_s = lost_s
    while True:
        now_s += LOOK_S
        leader.looked(["n2"], now_s, now_s)
        for number, observer in enumerate(observers):
            while looks_s[number] <= now_s:
                at_s = looks_s[number]
                observer.looked(["n2"], at_s, at_s)
                silent = observer.silent(NODES, at_s)
                notes[observer.name] = pack_note(int(at_s * 1000), silent)
                looks_s[number] += look_again_s(count, is_unsure="n1" not in silent)
        silent_s = {node: leader.silent_s(node, now_s) for node in leader.silent(NODES, now_s)}
        if confirmed(silent_s, notes, "leader", int(now_s * 1000)):
            break
        assert now_s - lost_s < SILENT_S + 2 * LOOK_S
    assert now_s - lost_s >= SILENT_S
