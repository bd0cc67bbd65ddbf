"""The history of attempts: bounded, signed, and of no use for another message."""

from __future__ import annotations

import pytest

from taskmesh.codec.attempts import (
    FIRST_KEPT,
    LAST_KEPT,
    TEXT_CHARS_MAX,
    TRACEBACK_CHARS_MAX,
    attempts_so_far,
    history_with,
    open_history,
)
from taskmesh.codec.keyring import Key, Keyring
from taskmesh.codec.outcome import ErrorInfo, Outcome, encode_outcome
from taskmesh.core.record import head_parts, parse
from taskmesh.errors import BadSignature, Malformed

RESULTS = Keyring(Key.of(b"k" * 32)).signer("result", "shop")


def retried(attempt: int, before: Outcome | None = None, **facts) -> Outcome:
    earlier = history_with(before) if before is not None else ()
    error = ErrorInfo("app", "Busy", f"attempt {attempt}", "traceback")
    return Outcome(
        "id-1", "RETRY", error=error, attempt=attempt, worker="w", started_ms=1, attempts=earlier, **facts
    )


def test_each_attempt_adds_itself():
    outcome = None
    for number in range(1, 4):
        outcome = retried(number, outcome)
    assert [(past.number, past.error.text) for past in history_with(outcome)] == [
        (number, f"attempt {number}") for number in range(1, 4)
    ]


def test_a_history_does_not_grow_without_end():
    outcome = None
    for number in range(1, 1001):
        outcome = retried(number, outcome)
    numbers = [past.number for past in history_with(outcome)]
    assert numbers == [*range(1, FIRST_KEPT + 1), *range(1001 - LAST_KEPT, 1001)]


def test_of_long_errors_the_beginning_of_the_text_and_the_end_of_the_traceback_are_kept():
    error = ErrorInfo("app", "Busy", "a" + "x" * 10_000, "y" * 10_000 + "z", b"pickled")
    (past,) = history_with(Outcome("id-1", "RETRY", error=error, attempt=1))
    assert past.error.text.startswith("ax")
    assert past.error.traceback.endswith("yz")
    assert (len(past.error.text), len(past.error.traceback)) == (TEXT_CHARS_MAX, TRACEBACK_CHARS_MAX)
    assert past.error.pickled is None


def test_a_history_is_verified_before_it_is_used():
    wire = encode_outcome(retried(1), RESULTS)
    assert open_history(wire, RESULTS, expect_id="id-1") == retried(1)
    with pytest.raises(BadSignature):
        open_history(wire[:-1] + bytes([wire[-1] ^ 1]), RESULTS, expect_id="id-1")
    with pytest.raises(Malformed, match="id-2"):
        open_history(wire, RESULTS, expect_id="id-2")
    with pytest.raises(Malformed, match="SUCCESS"):
        open_history(encode_outcome(Outcome("id-1", "SUCCESS"), RESULTS), RESULTS, expect_id="id-1")


def test_who_ends_a_message_takes_over_what_can_be_verified():
    wire = encode_outcome(retried(1), RESULTS)

    def record(history: bytes) -> bytes:
        start, middle, end, names = head_parts(
            state=b"Y", queue=b"q", channel=b"", function=b"", priority=4, flags=0, result_ttl_s=1
        )
        end = end[:8] + b"%08x" % len(history) + end[16:]
        return start + b"0000" + middle + b"0" * 24 + end + names + history + b"envelope"

    (past,) = attempts_so_far(parse(record(wire)), RESULTS, "id-1")
    assert past.number == 1
    assert attempts_so_far(parse(record(wire)), RESULTS, "id-2") == ()
    assert attempts_so_far(parse(record(b"forged")), RESULTS, "id-1") == ()
    assert attempts_so_far(parse(record(b"")), RESULTS, "id-1") == ()
    assert attempts_so_far(None, RESULTS, "id-1") == ()
