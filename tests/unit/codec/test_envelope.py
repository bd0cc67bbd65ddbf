"""Envelopes, outcomes and control messages: what was wrapped comes back, and nothing else does."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmesh.codec.control import Control, decode_control, encode_control
from taskmesh.codec.envelope import Envelope, decode_envelope, encode_envelope
from taskmesh.codec.keyring import Key, Keyring
from taskmesh.codec.outcome import RAW_BYTES_MAX, ErrorInfo, Outcome, decode_outcome, encode_outcome
from taskmesh.errors import BadSignature, Malformed, NotPicklable, TrustError

RING = Keyring(Key.of(b"k" * 32))
MESSAGES, RESULTS, CONTROLS = (RING.signer(kind, "shop") for kind in ("message", "result", "control"))
ENVELOPE = Envelope(
    "id-1",
    "app.add",
    b"body",
    17,
    "f" * 32,
    "mail",
    {"trace": "é", "n": [1, None, 2.5]},
    1_754_000_000_000,
    1_754_000_060_000,
    3600,
    True,
    "channel",
    "host:1",
    {"retry_of": "id-0"},
    4,
)
OUTCOME = Outcome(
    "id-1",
    "FAILURE",
    "t" * 50,
    b"value",
    1,
    ErrorInfo("builtins", "ValueError", "no", "Traceback", b"pickled"),
    1_754_000_000_000,
    1_753_999_999_000,
    "worker-1",
    2,
    "why",
    b"raw",
)
CONTROL = Control("c-1", "revoke", "worker-1", {"ids": ["id-1"]}, 1_000_000, "host:1")


def test_all_fields_come_back() -> None:
    assert decode_envelope(encode_envelope(ENVELOPE, MESSAGES), MESSAGES, expect_id="id-1") == ENVELOPE
    assert decode_outcome(encode_outcome(OUTCOME, RESULTS), RESULTS, expect_id="id-1") == OUTCOME
    assert decode_control(encode_control(CONTROL, CONTROLS), CONTROLS, 1000, 1_000_500) == CONTROL


def test_the_order_on_the_wire_is_fixed() -> None:
    """An older process reads these arrays by position: fields may only be appended."""
    assert Envelope.__struct_fields__[:15] == (
        *("id", "task", "body", "encoding", "function", "queue", "headers", "created_ms", "expires_ms"),
        *("result_ttl_s", "ignore_result", "channel", "sender", "extras", "clear_size"),
    )
    assert Outcome.__struct_fields__[:12] == (
        *("id", "state", "token", "value", "encoding", "error", "finished_ms", "started_ms", "worker"),
        *("attempt", "reason", "raw"),
    )
    assert ErrorInfo.__struct_fields__[:5] == ("module", "qualname", "text", "traceback", "pickled")
    assert Control.__struct_fields__[:6] == ("id", "action", "target", "arguments", "created_ms", "sender")


def test_fields_of_a_later_release_are_skipped_and_missing_ones_have_defaults() -> None:
    longer = msgspec.msgpack.encode([*msgspec.to_builtins(ENVELOPE, builtin_types=(bytes,)), "later", 7])
    assert decode_envelope(MESSAGES.sign(longer), MESSAGES) == ENVELOPE
    shorter = msgspec.msgpack.encode(["id-1", "app.add"])
    assert decode_envelope(MESSAGES.sign(shorter), MESSAGES) == Envelope("id-1", "app.add")


def test_the_wrong_id_is_refused() -> None:
    with pytest.raises(Malformed, match="record of message 'id-2' holds the envelope of 'id-1'"):
        decode_envelope(encode_envelope(ENVELOPE, MESSAGES), MESSAGES, expect_id="id-2")
    with pytest.raises(Malformed, match="'id-2' was given the result of 'id-1'"):
        decode_outcome(encode_outcome(OUTCOME, RESULTS), RESULTS, expect_id="id-2")


def test_a_wire_that_is_too_large_is_refused_with_both_numbers() -> None:
    wire = encode_envelope(ENVELOPE, MESSAGES)
    assert decode_envelope(wire, MESSAGES, max_size=len(wire)) == ENVELOPE
    with pytest.raises(
        Malformed, match=f"{len(wire)} bytes is larger than the {len(wire) - 1} bytes"
    ) as caught:
        decode_envelope(wire, MESSAGES, max_size=len(wire) - 1)
    assert (caught.value.size, caught.value.limit) == (len(wire), len(wire) - 1)
    with pytest.raises(Malformed, match=r"result of .* bytes is larger than the 10 bytes"):
        decode_outcome(encode_outcome(OUTCOME, RESULTS), RESULTS, max_size=10)
    with pytest.raises(Malformed, match="larger than 1048576 bytes"):
        decode_control(bytes(1024 * 1024 + 1), CONTROLS, 1, 1)


def test_raw_bytes_are_cut_to_64_kib() -> None:
    outcome = Outcome("id-1", "DEAD", raw=b"x" * (RAW_BYTES_MAX + 1), reason="undecodable")
    back = decode_outcome(encode_outcome(outcome, RESULTS), RESULTS)
    assert len(back.raw) == RAW_BYTES_MAX == 65_536
    assert back.reason == "undecodable"


def test_names_of_exceptions() -> None:
    assert ErrorInfo("builtins", "ValueError").type_name == "ValueError"
    assert ErrorInfo("app", "Outer.Error").type_name == "app.Outer.Error"


@pytest.mark.parametrize("now_ms", [998_999, 1_001_001])
def test_a_control_message_of_another_time_is_refused(now_ms: int) -> None:
    with pytest.raises(Malformed, match=r"'revoke' from 'host:1' is -?1.0 s old, and 1.0 s are allowed"):
        decode_control(encode_control(CONTROL, CONTROLS), CONTROLS, 1000, now_ms)


def refused(decode: Callable[[], object], said: str) -> None:
    with pytest.raises(Malformed, match=said):
        decode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode(None),
        msgspec.msgpack.encode([]),
        msgspec.msgpack.encode(["only the id"]),
        msgspec.msgpack.encode([1, 2]),
        msgspec.msgpack.encode({"id": "id-1", "task": "app.add"}),
        msgspec.msgpack.encode(["id-1", "text", 3.5, 3.5]),
        msgspec.msgpack.encode(["id-1", "text"])[:-1],
        msgspec.msgpack.encode(["id-1", "text"]) + b"\x00",
        b"\x92\xa2\xff\xff\xa4text",
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
    ],
)
def test_signed_nonsense_is_malformed(content: bytes) -> None:
    """A valid signature over bytes that are no envelope: refused, without any other kind of error."""
    refused(lambda: decode_envelope(MESSAGES.sign(content), MESSAGES), "signed envelope .* cannot be read")
    refused(lambda: decode_outcome(RESULTS.sign(content), RESULTS), "signed result .* cannot be read")
    refused(lambda: decode_control(CONTROLS.sign(content), CONTROLS, 1, 1), "control .* cannot be read")


def test_deep_headers_are_malformed() -> None:
    deep = b"\x97\xa1i\xa1t\xc4\x00\x00\xa0\xa1q\x81\xa1k" + b"\x91" * 100_000
    refused(lambda: decode_envelope(MESSAGES.sign(deep), MESSAGES), "recursion")


@pytest.mark.parametrize("value", [object(), "\ud800", 2**64], ids=["object", "surrogate", "large"])
def test_headers_must_be_plain(value: object) -> None:
    with pytest.raises(NotPicklable, match=r"message to task 'app.add' must be plain data"):
        encode_envelope(Envelope("id-1", "app.add", headers={"k": [value]}), MESSAGES)
    with pytest.raises(NotPicklable, match="control message 'revoke' must be plain data"):
        encode_control(Control("c-1", "revoke", arguments={"k": value}), CONTROLS)


def test_a_strange_reason_does_not_cost_the_outcome() -> None:
    wire = encode_outcome(Outcome("id-1", "DEAD", reason="lone \ud800"), RESULTS)
    assert decode_outcome(wire, RESULTS).reason == "lone \\ud800"


def test_one_kind_does_not_pass_for_another() -> None:
    with pytest.raises(BadSignature):
        decode_outcome(encode_envelope(ENVELOPE, MESSAGES), RESULTS)
    with pytest.raises(BadSignature):
        decode_envelope(encode_outcome(OUTCOME, RESULTS), MESSAGES)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_refused_as_a_matter_of_trust(content: bytes, signed: bool) -> None:
    """Whatever arrives, signed or not: a `TrustError`, which a worker can count and bury."""
    for decode, signer in ((decode_envelope, MESSAGES), (decode_outcome, RESULTS)):
        with pytest.raises(TrustError):
            decode(signer.sign(content) if signed else content, signer, expect_id="id-1")


@given(
    st.text(max_size=20).filter(lambda text: text.isprintable()),
    st.binary(max_size=200),
    st.dictionaries(st.text(max_size=5), st.integers(-(2**63), 2**64 - 1) | st.none() | st.booleans()),
)
def test_any_envelope_comes_back(name: str, body: bytes, headers: dict[str, object]) -> None:
    envelope = Envelope(name, name, body, headers=headers or None)
    assert decode_envelope(encode_envelope(envelope, MESSAGES), MESSAGES, expect_id=name) == envelope
