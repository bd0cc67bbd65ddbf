"""Definitions of schedules, how they change, and cursors."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from taskmesh.consensus.registers import Delete, Keep, Refuse, Versioned, Write
from taskmesh.coordination.cursor import Cursor, Running, cursor_register, key_of, pack_cursor, unpack_cursor
from taskmesh.coordination.schedule import (
    PackedCall,
    Schedule,
    check_schedule,
    pack_schedule,
    unpack_schedule,
)
from taskmesh.coordination.schedule_change import CHANGED, UNCHANGED, pause, put, remove, resume
from taskmesh.errors import Malformed, NewerFormat, NotPicklable, UsageError

NIGHTLY = Schedule("nightly", "0 3 * * *", PackedCall("shop.report", b"\x80", options={"queue": "slow"}))
ABSENT = Versioned(0, None)


def made(now_ms: int = 1000, schedule: Schedule = NIGHTLY) -> Versioned:
    verdict = put(schedule, now_ms)(ABSENT)
    assert isinstance(verdict, Write)
    return Versioned(1, verdict.content)


def changed(verdict: object) -> Schedule:
    assert isinstance(verdict, Write)
    assert verdict.answer == CHANGED
    return unpack_schedule(verdict.content)


def test_a_definition_is_read_again():
    full = Schedule(
        "a",
        "every 10m",
        PackedCall("t", b"1", 17, 900, "hash", b"sealed", {"priority": 7}, {"mine": [1]}),
        zone="Europe/Paris",
        misfire="all",
        catch_up_ms=5,
        overlap="buffer-one",
        jitter_ms=6,
        start_ms=7,
        end_ms=8,
        paused=True,
        created_ms=9,
        since_ms=10,
        generation=11,
    )
    assert unpack_schedule(pack_schedule(full)) == full
    assert unpack_schedule(pack_schedule(NIGHTLY)) == NIGHTLY


def test_fields_of_a_newer_version_are_passed_over():
    content = msgspec.msgpack.encode(
        {**msgspec.to_builtins(NIGHTLY, builtin_types=(bytes,)), "colour": "red"}
    )
    assert unpack_schedule(content) == NIGHTLY


def test_a_newer_format_is_told_from_garbage():
    with pytest.raises(NewerFormat, match="format 2"):
        unpack_schedule(msgspec.msgpack.encode({"format": 2, "name": 5}))
    with pytest.raises(NewerFormat, match="format 2"):
        unpack_schedule(pack_schedule(replace(NIGHTLY, format=2)))
    for garbage in (b"", b"\xc1", b"\x01", msgspec.msgpack.encode({"name": "a"})):
        with pytest.raises(Malformed):
            unpack_schedule(garbage)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"name": "a b"}, "the name of a schedule"),
        ({"call": PackedCall("")}, "the name of a task"),
        ({"misfire": "never"}, "expected one of skip, latest, all"),
        ({"overlap": "all"}, "expected one of allow, skip, buffer-one"),
        ({"jitter_ms": -1}, "its jitter is -0.001 s"),
        ({"catch_up_ms": 10**12}, "its catch_up is"),
        ({"start_ms": 5, "end_ms": 5}, "would never fire"),
    ],
)
def test_what_cannot_be_is_refused_before_it_is_written(change, why):
    with pytest.raises(UsageError, match=why):
        check_schedule(replace(NIGHTLY, **change))
    with pytest.raises(UsageError, match=why):
        put(replace(NIGHTLY, **change), 0)


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match=r"schedule 'nightly' takes \d+ bytes \(arguments 70000"):
        put(replace(NIGHTLY, call=PackedCall("t", bytes(70_000))), 0)
    with pytest.raises(NotPicklable, match="plain data"):
        put(replace(NIGHTLY, call=PackedCall("t", options={"x": object()})), 0)


def test_a_new_schedule_counts_from_the_moment_it_is_made():
    new = unpack_schedule(made(1000).content)
    assert (new.created_ms, new.since_ms, new.generation, new.paused) == (1000, 1000, 1, False)


def test_the_same_again_changes_nothing():
    assert put(NIGHTLY, 2000)(made()) == Keep(UNCHANGED)
    assert put(replace(NIGHTLY, created_ms=5, since_ms=6, generation=7), 2000)(made()) == Keep(UNCHANGED)


def test_other_times_begin_anew_and_raise_the_generation():
    found = Versioned(5, made().content)
    for other in (replace(NIGHTLY, when="0 4 * * *"), replace(NIGHTLY, zone="Europe/Paris")):
        new = changed(put(other, 2000)(found))
        assert (new.created_ms, new.since_ms, new.generation) == (1000, 2000, 6)


def test_other_arguments_keep_what_was_missed():
    new = changed(put(replace(NIGHTLY, misfire="all"), 2000)(made()))
    assert (new.created_ms, new.since_ms, new.generation, new.misfire) == (1000, 1000, 1, "all")


def test_a_paused_schedule_that_is_defined_again_stays_so():
    paused = changed(pause("nightly")(made()))
    assert paused.paused
    again = changed(put(replace(NIGHTLY, jitter_ms=5), 3000)(Versioned(2, pack_schedule(paused))))
    assert again.paused


def test_what_was_missed_while_paused_is_not_made_up_for():
    paused = Versioned(2, pack_schedule(changed(pause("nightly")(made()))))
    assert pause("nightly")(paused) == Keep(UNCHANGED)
    resumed = changed(resume("nightly", 9000)(paused))
    assert (resumed.paused, resumed.since_ms, resumed.generation) == (False, 9000, 1)
    assert resume("nightly", 9999)(made()) == Keep(UNCHANGED)


def test_a_generation_is_never_used_again():
    assert remove(made()) == Delete(CHANGED)
    assert remove(ABSENT) == Keep(UNCHANGED)
    again = changed(put(NIGHTLY, 5000)(Versioned(2, None)))
    assert (again.generation, again.created_ms) == (3, 5000)


@pytest.mark.parametrize("change", [pause("nightly"), resume("nightly", 0)])
def test_what_does_not_exist_cannot_be_paused_or_resumed(change):
    verdict = change(ABSENT)
    assert isinstance(verdict, Refuse)
    assert "there is no schedule 'nightly'" in str(verdict.error)


def test_a_cursor_goes_forward_only_and_is_read_again():
    cursor = Cursor().moved(1000, {key_of("a"): Running(900), key_of("b"): Running(800, 950)})
    assert unpack_cursor(pack_cursor(cursor)) == cursor
    assert unpack_cursor(None) == Cursor(0)
    back = cursor.moved(500, {key_of("a"): None})
    assert (back.seen_ms, back.running) == (1000, {key_of("b"): Running(800, 950)})
    assert cursor_register(63) == "cursor/63"


def test_two_thousand_schedules_without_overlap_fit_into_a_cursor():
    running = {key_of(f"s{number}"): Running(1_774_746_000_250, 1_774_746_000_250) for number in range(2000)}
    assert len(pack_cursor(Cursor(1_774_746_000_250, running))) < 64 * 1024


def test_a_cursor_of_a_newer_format_is_told_from_garbage():
    with pytest.raises(NewerFormat):
        unpack_cursor(msgspec.msgpack.encode({"format": 2}))
    with pytest.raises(Malformed):
        unpack_cursor(b"\xc1")
