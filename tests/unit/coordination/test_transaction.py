"""Transactions: all or none, wherever a process dies and however many complete them at once."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmesh.consensus.value import OPERATIONS_MAX
from taskmesh.coordination.committing import commit, complete
from taskmesh.coordination.transaction import ABORTED, COMMITTED, DONE, has_bit, with_bits
from taskmesh.coordination.transaction_sweep import KNOWN_MS, PREPARED_S_MAX
from taskmesh.errors import Fenced, TransactionAborted, TransactionConflict
from tests.unit.coordination.transaction_world import (
    IDS,
    Died,
    is_done,
    prepared,
    wanted,
)


@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("large", [False, True])
def test_whoever_dies_anywhere_leaves_all_or_none(large: bool, heard: bool) -> None:
    results = []
    for step in range(200):
        mesh = prepared()
        means = mesh.process()
        try:
            mesh.run(mesh.decides(means, wanted(large=large)), dies_at=step, heard=heard)
        except Died:
            mesh.settle()
        else:
            assert is_done(mesh)
            break
        results.append(is_done(mesh))
        mesh.forget()
        assert mesh.transactions() == []
        assert is_done(mesh) == results[-1]
    # first none, and from one step on all
    assert results == sorted(results)
    assert set(results) == {False, True}
    assert 10 < len(results) < 150


@pytest.mark.parametrize("heard", [False, True])
def test_a_leader_that_dies_anywhere_is_followed_by_another(heard: bool) -> None:
    for step in range(200):
        mesh = prepared()
        mesh.run(commit(mesh.process(), wanted(large=True), mesh.now_ms))
        mesh.now_s += 10
        try:
            mesh.run(complete(mesh.process(), "t", mesh.now_ms), dies_at=step, heard=heard)
        except Died:
            mesh.settle()
            assert is_done(mesh)
            assert mesh.completes("t").phase == DONE
        else:
            break
    assert 10 < step < 150


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_of_several_who_complete_at_once_each_thing_is_done_once(first: int) -> None:
    for seed in range(first, first + 20):
        mesh, chance = prepared(), Random(seed)
        mesh.run(commit(mesh.process(), wanted(large=seed % 2 == 0), mesh.now_ms))
        mesh.interleave(chance, *(complete(mesh.process(), "t", mesh.now_ms) for _ in range(3)))
        assert is_done(mesh), seed
        assert mesh.completes("t").phase == DONE


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_a_file_that_others_write_meanwhile_is_written_once_by_the_transaction(first: int) -> None:
    """One of those who complete stands still after any step, and goes on when others have written after it."""
    for seed in range(first, first + 20):
        mesh, chance = prepared(), Random(seed)
        mesh.run(commit(mesh.process(), wanted(), mesh.now_ms))
        mesh.write("old", b"between")
        slow = complete(mesh.process(), "t", mesh.now_ms)
        request = next(slow)
        for _ in range(chance.randrange(12)):
            request = slow.send(mesh.perform(request))
        assert mesh.completes("t").phase == DONE
        # more often than a register remembers who changed it
        for _ in range(OPERATIONS_MAX + 1):
            last = mesh.write("old", b"later").generation
        mesh.interleave(chance, _from(slow, request, mesh))
        found = mesh.read("old")
        assert found is not None
        assert (found.data, found.generation) == (b"later", last), seed


def _from(steps, request, mesh):
    """Go on with what was asked before."""
    reply = mesh.perform(request)
    while True:
        try:
            request = steps.send(reply)
        except StopIteration:
            return
        reply = yield request


def test_the_same_id_is_decided_once() -> None:
    mesh = prepared()
    assert mesh.run(commit(mesh.process(), wanted(), mesh.now_ms))
    assert mesh.completes("t").phase == DONE
    again = wanted(large=True, attempt=b"attempt2")
    assert not mesh.run(commit(mesh.process(), again, mesh.now_ms))
    assert mesh.completes("t").ids == IDS
    other = wanted(large=True, attempt=b"attempt3", digest=b"other")
    with pytest.raises(TransactionConflict, match="decided for something else"):
        mesh.run(commit(mesh.process(), other, mesh.now_ms))
    assert is_done(mesh)
    assert mesh.transactions() == ["tx/t"]


def test_who_is_cut_off_anywhere_hears_what_is_so() -> None:
    """Also after the decision, while what an attempt was to do is dropped: another one is decided already."""
    heard = set()
    for step in range(200):
        mesh = prepared()
        mesh.run(mesh.decides(mesh.process(), wanted()))
        steps = commit(mesh.process(), wanted(large=True, attempt=b"attempt2"), mesh.now_ms)
        try:
            is_own, asked = mesh.cut_off(steps, step)
        except TransactionAborted:
            heard.add(TransactionAborted)
            continue
        assert not is_own
        heard.add(bool)
        if asked < step:
            break
    assert heard == {TransactionAborted, bool}


def test_who_prepares_for_too_long_is_aborted_and_may_try_again() -> None:
    mesh = prepared()
    slow = commit(mesh.process(), wanted(large=True), mesh.now_ms)
    request = next(slow)
    while not (parts := mesh.transactions()) or len(parts) < 2:
        request = slow.send(mesh.perform(request))
    look = mesh.sweep()
    assert look().given_up == []
    mesh.now_s += PREPARED_S_MAX
    assert look().given_up == ["t"]
    with pytest.raises(TransactionAborted, match="the leader gave it up"):
        mesh.run(_rest(slow, request, mesh))
    assert not is_done(mesh)
    assert mesh.run(commit(mesh.process(), wanted(large=True, attempt=b"attempt2"), mesh.now_ms))
    mesh.completes("t")
    assert is_done(mesh)


def test_an_attempt_that_was_given_up_stays_so_whatever_became_of_another() -> None:
    """Its parts are swept one by one: who has read them all before might do a half that nobody ends."""
    mesh = prepared()
    slow = []
    for attempt in (b"attempt1", b"attempt2"):
        means = mesh.process()
        means.registers.patience_s = 2 * PREPARED_S_MAX
        steps = commit(means, wanted(large=True, attempt=attempt), mesh.now_ms)
        request = next(steps)
        known = len(mesh.transactions())
        while len(mesh.transactions()) < known + 2:
            request = steps.send(mesh.perform(request))
        slow.append((steps, request))
    look = mesh.sweep()
    look()
    mesh.now_s += PREPARED_S_MAX
    assert look().given_up == ["t", "t"]
    for steps, request in slow:
        with pytest.raises(TransactionAborted, match="the leader gave it up"):
            mesh.run(_rest(steps, request, mesh))
    assert mesh.run(commit(mesh.process(), wanted(large=True, attempt=b"attempt3"), mesh.now_ms))
    mesh.completes("t")
    assert is_done(mesh)


def test_what_is_decided_after_its_parts_were_swept_and_forgotten_is_undone() -> None:
    mesh = prepared()
    means = mesh.process()
    means.registers.patience_s = 2 * KNOWN_MS / 1000
    slow = commit(means, wanted(large=True), mesh.now_ms)
    request = next(slow)
    while len(mesh.transactions()) < 2:
        request = slow.send(mesh.perform(request))
    look = mesh.sweep()
    look()
    mesh.now_s += PREPARED_S_MAX
    look()
    mesh.now_s += KNOWN_MS / 1000
    look()
    assert mesh.transactions() == []
    assert mesh.run(_rest(slow, request, mesh))
    assert mesh.completes("t").phase == ABORTED
    assert not is_done(mesh)


def _rest(steps, request, mesh):
    """Go on with what was asked before, and return what comes of it."""
    reply = mesh.perform(request)
    try:
        while True:
            reply = yield steps.send(reply)
    except StopIteration as stop:
        return stop.value


def test_messages_for_which_there_is_no_room_are_sent_later_and_the_others_once() -> None:
    mesh = prepared()
    mesh.full = {IDS[1]}
    assert mesh.run(mesh.decides(mesh.process(), wanted())).phase == COMMITTED
    assert mesh.recorded == {IDS[0]: 1, IDS[2]: 1}
    assert not mesh.is_locked()
    # they have ended, and nobody knows them any more
    mesh.forgotten = set(mesh.recorded)
    mesh.now_s += 3600
    look = mesh.sweep()
    assert dict(look().completed["t"].delivered.left) == {IDS[1]: "OOM"}
    mesh.full.clear()
    assert look().completed["t"].phase == DONE
    assert is_done(mesh)


def test_a_file_that_has_seen_a_newer_token_is_refused_before_and_left_alone_after() -> None:
    mesh = prepared()
    mesh.write("old", b"fenced", fence=5)
    with pytest.raises(Fenced):
        mesh.run(commit(mesh.process(), wanted(), mesh.now_ms))
    assert mesh.transactions() == []
    mesh = prepared()
    mesh.run(commit(mesh.process(), wanted(), mesh.now_ms))
    mesh.write("old", b"fenced", fence=5)
    assert mesh.completes("t").phase == DONE
    found = mesh.read("old")
    assert found is not None
    assert found.data == b"fenced"


def test_who_decides_has_a_moment_before_others_do_it() -> None:
    mesh = prepared()
    mesh.run(commit(mesh.process(), wanted(), mesh.now_ms))
    look = mesh.sweep()
    assert look().completed == {}
    mesh.now_s += 2
    assert look().completed["t"].phase == DONE


@given(st.sets(st.integers(0, 999)), st.sets(st.integers(0, 999)))
def test_bits_are_those_that_were_set(one: set[int], other: set[int]) -> None:
    bits = with_bits(with_bits(b"", one), other)
    assert {at for at in range(1000) if has_bit(bits, at)} == one | other
