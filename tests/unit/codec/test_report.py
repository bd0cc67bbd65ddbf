"""Reports of workers: believed only where they are signed, and only for the life that published them."""

from __future__ import annotations

import msgspec
import pytest

from taskmesh.codec.keyring import Key, Keyring
from taskmesh.codec.report import (
    WIRE_BYTES_MAX,
    BrokerReport,
    ChildReport,
    Report,
    decode_report,
    encode_report,
)
from taskmesh.errors import BadSignature, Malformed, UnknownKey

RING = Keyring(Key.of(b"k" * 32))
SIGNER = RING.signer("report", "shop")
REPORT = Report(
    "1a" * 8, 1_000, 2.0, "process", 3.5, {"SUCCESS": 4}, 5_000, [ChildReport(1, 77, 3, 1, 2, 900)]
)


def test_a_report_comes_back_as_it_was():
    assert decode_report(encode_report(REPORT, SIGNER), SIGNER, "1a" * 8) == REPORT


def test_workers_of_before_and_after_can_be_looked_at():
    """During a deploy some publish fields that others do not know."""
    fields = msgspec.to_builtins(REPORT)
    assert fields[-1] is None, "the broker is the last of them"
    old = SIGNER.sign(msgspec.msgpack.encode(fields[:-1]))
    assert decode_report(old, SIGNER, "1a" * 8) == REPORT
    broker = ["amqp://host", False, "away", "of a later version"]
    new = SIGNER.sign(msgspec.msgpack.encode([*fields[:-1], broker, "of a later version"]))
    assert decode_report(new, SIGNER, "1a" * 8).broker == BrokerReport("amqp://host", False, "away")


def test_a_report_of_another_life_is_refused():
    """Whoever can write to the node can copy one worker's report to another's place."""
    with pytest.raises(Malformed, match="is one of"):
        decode_report(encode_report(REPORT, SIGNER), SIGNER, "2b" * 8)


def test_what_was_changed_or_signed_by_others_is_refused():
    wire = encode_report(REPORT, SIGNER)
    with pytest.raises(BadSignature):
        decode_report(wire[:-1] + b"\x01", SIGNER, "1a" * 8)
    with pytest.raises(BadSignature):
        decode_report(encode_report(REPORT, RING.signer("control", "shop")), SIGNER, "1a" * 8)
    with pytest.raises(UnknownKey):
        decode_report(encode_report(REPORT, Keyring.new().signer("report", "shop")), SIGNER, "1a" * 8)


def test_what_is_signed_and_no_report_is_refused():
    with pytest.raises(Malformed, match="cannot be read"):
        decode_report(SIGNER.sign(b"\xc1"), SIGNER, "1a" * 8)
    with pytest.raises(Malformed, match="larger than"):
        decode_report(bytes(WIRE_BYTES_MAX + 1), SIGNER, "1a" * 8)


def test_a_report_of_very_many_children_fits():
    children = [
        ChildReport(0xFFFFFF, 2**31, 2**31, 200, 200, 2**42, many=True, running=100_000) for _ in range(1024)
    ]
    report = Report("1a" * 8, 2**42, 2.0, "process", 1e9, dict.fromkeys("ABCDEF", 2**62), 2**50, children)
    assert len(encode_report(report, SIGNER)) < WIRE_BYTES_MAX
