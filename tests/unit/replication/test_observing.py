"""Who counts as gone: silent for long, and not to one observer alone."""

from __future__ import annotations

from taskmesh.replication.observing import NOTED_S, Observer, confirmed, outdated, pack_note, read_note

NODES = ("n1", "n2")


def test_a_node_is_silent_after_a_while_and_no_more_when_it_is_heard() -> None:
    observer = Observer(0.0)
    for at in range(8):
        observer.looked(["n1"], at * 0.5, at * 0.5 + 0.1)
    assert observer.silent(NODES, 3.6) == {"n2"}
    observer.looked(["n1", "n2"], 3.6, 3.7)
    assert observer.silent(NODES, 3.8) == frozenset()


def test_who_stood_still_itself_has_seen_nothing() -> None:
    observer = Observer(0.0)
    observer.looked(NODES, 0.0, 0.1)
    # stopped for a minute; the first look afterwards is answered by one only
    observer.looked(["n1"], 60.0, 61.0)
    assert observer.silent(NODES, 61.0) == frozenset()
    observer.looked(["n1"], 61.5, 62.0)
    assert observer.silent(NODES, 62.1) == {"n2"}


def test_one_observer_alone_does_not_decide_where_there_are_others() -> None:
    own = pack_note(100_000, ["n1"])
    assert confirmed(["n1"], {"me": own}, "me", 100_000) == {"n1"}
    assert confirmed(["n1"], {"me": own, "you": pack_note(99_000, [])}, "me", 100_000) == frozenset()
    assert confirmed(["n1"], {"me": own, "you": pack_note(99_000, ["n1"])}, "me", 100_000) == {"n1"}
    # who has said nothing for long is no observer any more
    old = pack_note(100_000 - int(NOTED_S * 1000) - 1, [])
    assert confirmed(["n1"], {"me": own, "you": old}, "me", 100_000) == {"n1"}


def test_notes_are_read_as_they_were_written() -> None:
    assert read_note(pack_note(5, ["n2", "n1"])) == (5, frozenset({"n1", "n2"}))
    assert read_note(pack_note(5, [])) == (5, frozenset())
    assert outdated({"a": pack_note(0, []), "b": pack_note(99_000, [])}, 100_000) == ["a"]
