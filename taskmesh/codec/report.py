"""What a supervisor publishes of its children with each beat: what each is at, and what they have done. Signed.

It holds numbers, and what is known of the broker. Names, tasks and arguments stand in the records, each under its own
signature.
"""

from __future__ import annotations

from typing import Final

import msgspec

from taskmesh.codec.signing import Signer
from taskmesh.errors import Malformed

WIRE_BYTES_MAX: Final = 128 * 1024
#: Children in one report. A worker that has more tells how many it leaves out.
CHILDREN_MAX: Final = 1024


class ChildReport(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one child is at. On the wire it is an array in this order: new fields go at the end.

    Attributes:
        number: Of the child, in hexadecimal digits the last part of its holder.
        pid: Its process; 0 if not known yet.
        sequence: Of the claim that it works on.
        position: Of the message that it runs, from 1; 0 when it runs none or several.
        total: How many messages the claim had.
        started_ms: When the message was begun, on the node's clock; 0 when it runs none or several.
        many: Whether it runs many messages at once; then all that it holds have begun.
        running: How many those are.
        begun: Of one that runs many: claims that it works on, each with when it was begun; not of all, if it has many.
    """

    number: int
    pid: int = 0
    sequence: int = 0
    position: int = 0
    total: int = 0
    started_ms: int = 0
    many: bool = False
    running: int = 0
    begun: tuple[tuple[int, int], ...] = ()


class BrokerReport(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a worker knows of its broker. On the wire it is an array in this order: new fields go at the end.

    Attributes:
        shown: Where it is, without a password.
        hears: Whether tickets are heard; None for one that does not listen, as `--burst` has it.
        trouble: Why none are heard, without a password.
    """

    shown: str
    hears: bool | None = None
    trouble: str = ""


class Report(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One worker at one moment. On the wire it is an array in this order: new fields go at the end.

    Attributes:
        incarnation: Whose it is: a report cannot pass for that of another life.
        at_ms: The moment, on the node's clock.
        beat_s: When the next is due.
        pool: How it runs tasks side by side.
        uptime_s: How long this life has lasted.
        counts: Letter of a state -> how many runs ended in it, in this life.
        rss_bytes: Memory of supervisor and children together, shared parts counted for each; 0 if not known.
        children: What each is at.
        left_out: How many children are not in it.
        broker: Of its broker; None where the nodes wake it.
    """

    incarnation: str
    at_ms: int
    beat_s: float
    pool: str
    uptime_s: float
    counts: dict[str, int]
    rss_bytes: int
    children: list[ChildReport]
    left_out: int = 0
    broker: BrokerReport | None = None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Report).decode


def encode_report(report: Report, signer: Signer) -> bytes:
    """Return the signed wire of a report; `signer` is of kind "report"."""
    return signer.sign(_encode(report))


def decode_report(wire: bytes, signer: Signer, incarnation: str) -> Report:
    """Return the report in `wire`.

    Args:
        wire: What `encode_report` made.
        signer: A signer of kind "report".
        incarnation: Where it was found.

    Raises:
        TrustError: It must not be believed; the message says why.
    """
    if len(wire) > WIRE_BYTES_MAX:
        raise Malformed(f"a report of {len(wire)} bytes is larger than {WIRE_BYTES_MAX} bytes")
    payload = signer.verify(wire)
    try:
        report = _decode(payload)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"a signed report of {len(wire)} bytes cannot be read: {error}") from error
    if report.incarnation != incarnation:
        raise Malformed(f"the report of worker {incarnation} is one of {report.incarnation}")
    return report
