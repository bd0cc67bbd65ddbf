"""What a running task may tell: plain, small, and for one run only."""

from __future__ import annotations

import pytest

from taskmesh.codec.keyring import Keyring
from taskmesh.codec.telling import (
    TELLING_BYTES_MAX,
    WIRE_BYTES_MAX,
    Telling,
    decode_telling,
    encode_telling,
    with_progress,
    with_state,
)
from taskmesh.core.progress import Progress
from taskmesh.errors import BadSignature, Malformed, NotPicklable, PayloadTooLarge, TrustError, UsageError

TOKEN = "0" * 50
EMPTY = Telling("id", TOKEN)


@pytest.fixture(scope="module")
def signer():
    return Keyring.new().signer("telling", "mesh")


def test_it_comes_back_as_it_was_told(signer):
    told = with_state(with_progress(EMPTY, 3, 10, "half-way"), "PROGRESS", {"file": "a", "lines": [1, 2]})
    wire = encode_telling(told, signer)
    got = decode_telling(wire, signer, expect_id="id", expect_token=TOKEN)
    assert got == told
    assert (got.label, got.progress) == ("PROGRESS", Progress(3, 10, "half-way"))
    assert got.progress.fraction == 0.3
    assert got.facts() == {"file": "a", "lines": [1, 2]}


def test_facts_are_the_progress_where_there_are_no_others():
    assert EMPTY.facts() is None
    assert EMPTY.progress is None
    assert with_progress(EMPTY, 1.5, None, None).facts() == {"done": 1.5, "total": None, "note": ""}
    assert with_progress(EMPTY, 1.5, None, None).progress == Progress(1.5)


def test_what_is_none_stays_as_it_is():
    told = with_state(EMPTY, "WORKING", [1])
    assert with_state(told, None, [2]).label == "WORKING"
    assert with_state(told, "RESTING", None).facts() == [1]
    assert with_state(told, "STARTED", None).label == ""


def test_facts_are_those_of_the_moment_in_which_they_were_told():
    facts = {"done": 1}
    told = with_state(EMPTY, None, facts)
    facts["done"] = 2
    assert told.facts() == {"done": 1}


@pytest.mark.parametrize("done", [None, "3", True, float("nan"), float("inf"), 1 << 63])
def test_what_is_no_number_is_refused(done):
    with pytest.raises(UsageError, match=r"report_progress\(done="):
        with_progress(EMPTY, done, None, None)


@pytest.mark.parametrize(("total", "note"), [("10", None), (False, None), (None, 5), (None, "\ud800")])
def test_a_total_is_a_number_and_a_note_a_text(total, note):
    with pytest.raises(UsageError, match=r"report_progress"):
        with_progress(EMPTY, 1, total, note)


@pytest.mark.parametrize("label", ["SUCCESS", "PENDING", "REVOKED", "", "a\nb", 5, "x" * 101])
def test_a_label_is_a_word_of_ones_own(label):
    with pytest.raises(UsageError, match=r"update_state\(state="):
        with_state(EMPTY, label, None)


def test_facts_are_plain_data():
    with pytest.raises(NotPicklable, match="plain data"):
        with_state(EMPTY, None, {"object": object()})


def test_it_is_small():
    told = with_progress(EMPTY, 1, 2, "n" * TELLING_BYTES_MAX)
    assert told.note
    with pytest.raises(PayloadTooLarge, match=f"{TELLING_BYTES_MAX} bytes"):
        with_state(told, None, "m")
    with pytest.raises(PayloadTooLarge) as caught:
        with_state(EMPTY, None, "m" * TELLING_BYTES_MAX)
    assert caught.value.limit == TELLING_BYTES_MAX


def test_the_largest_is_accepted_by_its_reader(signer):
    longest = Telling("i" * 200, TOKEN)
    told = with_state(
        with_progress(longest, 1e300, 1e300, "n" * TELLING_BYTES_MAX), "\N{EURO SIGN}" * 100, None
    )
    wire = encode_telling(told, signer)
    assert len(wire) <= WIRE_BYTES_MAX
    assert decode_telling(wire, signer, expect_id="i" * 200, expect_token=TOKEN) == told


def test_that_of_another_run_or_message_is_passed_over(signer):
    wire = encode_telling(EMPTY, signer)
    assert decode_telling(wire, signer, expect_id="id", expect_token="1" * 50) is None
    assert decode_telling(wire, signer, expect_id="other", expect_token=TOKEN) is None


def test_what_is_not_signed_as_a_report_is_refused(signer):
    wire = encode_telling(EMPTY, signer)
    for wrong in (wire[:-1], wire + b"x", b"", bytes(WIRE_BYTES_MAX + 1)):
        with pytest.raises(TrustError):
            decode_telling(wrong, signer, expect_id="id", expect_token=TOKEN)
    with pytest.raises(Malformed):
        decode_telling(signer.sign(b"\xc1"), signer, expect_id="id", expect_token=TOKEN)
    ring = Keyring.new()
    result = ring.signer("result", "mesh").sign(b"\x90")
    with pytest.raises(BadSignature):
        decode_telling(result, ring.signer("telling", "mesh"), expect_id="id", expect_token=TOKEN)


@pytest.mark.parametrize(
    ("progress", "fraction"), [((1, 0), None), ((1, -5), None), ((5, 4), 1.0), ((-1, 4), 0.0)]
)
def test_a_fraction_is_a_share_or_nothing(progress, fraction):
    assert Progress(*progress).fraction == fraction
