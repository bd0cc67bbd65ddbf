"""Nothing is decoded, imported or unpickled before its signature is verified.

Python reports each import and each class that a pickle looks up to audit hooks, so the tests do not trust
the code's own account of what it did. The first test shows that the hook sees what it should.
"""

import os
import sys
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal

import msgspec
import pytest

from taskmesh.codec.control import Control, decode_control, encode_control
from taskmesh.codec.envelope import Envelope, decode_envelope, encode_envelope
from taskmesh.codec.functions import decode_function, encode_function, open_function, seal_function
from taskmesh.codec.keyring import Key, Keyring
from taskmesh.codec.outcome import Outcome, decode_outcome, encode_outcome
from taskmesh.codec.pickling import (
    COMPRESSED,
    PICKLE,
    decode_call,
    decode_error,
    decode_value,
    encode_call,
    encode_error,
    encode_value,
)
from taskmesh.errors import (
    BadSignature,
    Malformed,
    PayloadTooLarge,
    RetiredKey,
    TrustError,
    UnknownKey,
)

RING = Keyring(Key.of(b"k" * 32))
MESSAGES, RESULTS, CONTROLS, FUNCTIONS = (
    RING.signer(kind, "shop") for kind in ("message", "result", "control", "function")
)
NOW_MS = 1_754_000_000_000
FORBIDDEN = frozenset({"import", "pickle.find_class", "exec", "compile", "marshal.loads", "open"})


class Watch:
    """Which forbidden events this thread caused while it was watched; an audit hook cannot be removed."""

    def __init__(self) -> None:
        self.events: list[str] | None = None
        self.thread = 0
        sys.addaudithook(self.note)

    def note(self, event: str, _arguments: object) -> None:
        if self.events is not None and event in FORBIDDEN and threading.get_ident() == self.thread:
            self.events.append(event)

    @contextmanager
    def on(self) -> Iterator[list[str]]:
        self.thread = threading.get_ident()
        self.events = events = []
        try:
            yield events
        finally:
            self.events = None


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


def receive_envelope(wire: bytes) -> object:
    """Do all that a worker does, up to running the task."""
    envelope = decode_envelope(wire, MESSAGES, expect_id="id-1", max_size=10_000)
    return decode_call(envelope.encoding, envelope.body, envelope.clear_size)


def receive_result(wire: bytes) -> object:
    """Do all that a caller does."""
    outcome = decode_outcome(wire, RESULTS, expect_id="id-1")
    assert outcome.value is not None
    assert outcome.error is not None
    return decode_value(outcome.encoding, outcome.value), decode_error(outcome.error)


def receive_control(wire: bytes) -> object:
    return decode_control(wire, CONTROLS, 1000, NOW_MS)


def receive_function(wire: bytes) -> object:
    return decode_function(open_function(wire, FUNCTIONS, expect_hash=FUNCTION_HASH))


def an_envelope() -> bytes:
    encoding, body, clear_size = encode_call((Decimal(1), os.getpid), {"key": 2})
    return encode_envelope(Envelope("id-1", "app.add", body, encoding, clear_size=clear_size), MESSAGES)


def a_result(task_id: str = "id-1") -> bytes:
    encoding, value = encode_value(Decimal(1))
    error = encode_error(TrustError("x"))
    return encode_outcome(Outcome(task_id, "FAILURE", "token", value, encoding, error, NOW_MS), RESULTS)


FUNCTION_HASH, FUNCTION_BLOB = encode_function(lambda number: Decimal(number) + 1)
CONTENTS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "envelope": (an_envelope(), receive_envelope),
    "result": (a_result(), receive_result),
    "control": (
        encode_control(Control("c-1", "revoke", "*", {"ids": ["id-1"]}, NOW_MS), CONTROLS),
        receive_control,
    ),
    "function": (seal_function(FUNCTION_BLOB, FUNCTIONS), receive_function),
}
each_content = pytest.mark.parametrize("content", CONTENTS)


@pytest.mark.parametrize("content", ["envelope", "result", "function"])
def test_the_watch_sees_the_classes_of_an_honest_message(watch: Watch, content: str) -> None:
    """The twin of the tests below: a hook that sees nothing would let them all pass."""
    wire, receive = CONTENTS[content]
    with watch.on() as events:
        receive(wire)
    assert "pickle.find_class" in events


def test_an_honest_control_message_is_read(watch: Watch) -> None:
    wire, receive = CONTENTS["control"]
    with watch.on() as events:
        assert receive(wire) == Control("c-1", "revoke", "*", {"ids": ["id-1"]}, NOW_MS)
    assert events == []


@each_content
def test_each_flipped_byte_is_refused_before_anything_is_decoded(watch: Watch, content: str) -> None:
    wire, receive = CONTENTS[content]
    with watch.on() as events:
        for place in range(len(wire)):
            for flip in (0x01, 0x80, 0xFF):
                changed = bytearray(wire)
                changed[place] ^= flip
                with pytest.raises(TrustError):
                    receive(bytes(changed))
                assert events == [], f"byte {place} of {len(wire)}"


@each_content
def test_each_cut_and_each_addition_is_refused(watch: Watch, content: str) -> None:
    wire, receive = CONTENTS[content]
    with watch.on() as events:
        for length in range(len(wire)):
            with pytest.raises(TrustError):
                receive(wire[:length])
        for longer in (wire + b"\x00", b"\x00" + wire, wire + wire):
            with pytest.raises(TrustError):
                receive(longer)
    assert events == []


@each_content
def test_unsigned_unknown_and_retired_are_refused_by_their_names(watch: Watch, content: str) -> None:
    wire, receive = CONTENTS[content]
    kind = "message" if content == "envelope" else content
    payload = RING.signer(kind, "shop").verify(wire)
    stranger = Keyring(Key.of(b"s" * 32)).signer(kind, "shop")
    retired = RING.with_new_key(Key.of(b"n" * 32)).retire(RING.active.id).signer(kind, "shop")
    with watch.on() as events:
        with pytest.raises(Malformed):
            receive(payload)
        with pytest.raises(UnknownKey):
            receive(stranger.sign(payload))
        with pytest.raises(BadSignature):
            receive(wire[:9] + stranger.sign(payload)[9:])
        with pytest.raises(RetiredKey):
            retired.verify(wire)
    assert events == []


@each_content
def test_other_meshes_and_kinds_are_refused(watch: Watch, content: str) -> None:
    wire, receive = CONTENTS[content]
    kind = "message" if content == "envelope" else content
    payload = RING.signer(kind, "shop").verify(wire)
    with watch.on() as events:
        with pytest.raises(BadSignature):
            receive(RING.signer(kind, "staging").sign(payload))
        for other in {"message", "result", "control", "function"} - {kind}:
            with pytest.raises(BadSignature):
                receive(RING.signer(other, "shop").sign(payload))
    assert events == []


def test_a_result_moved_to_another_id_is_refused(watch: Watch) -> None:
    """It is signed, and by the right worker: only it answers another question."""
    with watch.on() as events, pytest.raises(Malformed, match="'id-1' was given the result of 'id-2'"):
        receive_result(a_result("id-2"))
    assert events == []


def test_an_envelope_moved_to_another_record_is_refused(watch: Watch) -> None:
    with watch.on() as events, pytest.raises(Malformed, match="'id-9' holds the envelope of 'id-1'"):
        decode_envelope(an_envelope(), MESSAGES, expect_id="id-9")
    assert events == []


@pytest.mark.parametrize("content", ["envelope", "result", "control"])
def test_truncated_content_with_a_valid_signature_is_malformed(watch: Watch, content: str) -> None:
    wire, receive = CONTENTS[content]
    signer = {"envelope": MESSAGES, "result": RESULTS, "control": CONTROLS}[content]
    payload = signer.verify(wire)
    with watch.on() as events:
        for length in range(len(payload)):
            with pytest.raises(Malformed, match="cannot be read"):
                receive(signer.sign(payload[:length]))
    assert events == []


def test_size_is_checked_before_the_signature() -> None:
    with pytest.raises(Malformed, match="an envelope of 10001 bytes is larger than the 10000 bytes"):
        receive_envelope(bytes(10_001))


@pytest.mark.parametrize("claimed", [1_000, 64 * 1024 * 1024, 2**63])
def test_a_decompression_bomb_stays_small(watch: Watch, claimed: int) -> None:
    """64 MiB of zeros in 64 KiB, whatever size it claims: not expanded beyond what is allowed."""
    bomb = claimed.to_bytes(8, "big") + zlib.compress(bytes(64 * 1024 * 1024), 9)
    wire = encode_envelope(
        Envelope("id-1", "app.add", bomb, COMPRESSED + PICKLE, clear_size=claimed), MESSAGES
    )
    envelope = decode_envelope(wire, MESSAGES, expect_id="id-1")
    tracemalloc.start()
    try:
        with watch.on() as events, pytest.raises(Malformed, match="a compressed body"):
            decode_call(envelope.encoding, envelope.body, envelope.clear_size, 1024 * 1024)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1024 * 1024
    assert events == []


def test_a_hundred_megabytes_are_refused_at_the_sender_with_both_numbers() -> None:
    with pytest.raises(PayloadTooLarge) as caught:
        encode_call((bytes(100_000_000),), {}, max_size=16 * 1024 * 1024)
    assert "100000024 bytes" in str(caught.value)
    assert "max_message_size is 16777216" in str(caught.value)
    assert (caught.value.size, caught.value.limit) == (100_000_024, 16_777_216)


def test_a_body_cannot_choose_its_type(watch: Watch) -> None:
    """A signed array that puts a map where the body belongs is refused by its types, not by luck."""
    odd = msgspec.msgpack.encode(["id-1", "app.add", {"body": 1}])
    with watch.on() as events, pytest.raises(Malformed, match="Expected `bytes`, got `object`"):
        receive_envelope(MESSAGES.sign(odd))
    assert events == []
