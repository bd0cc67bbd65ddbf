"""How a child has ended: in words for people, and as the next one at its place is told."""

from __future__ import annotations

import signal
import time

import msgspec

from taskmesh.core.death import Death
from taskmesh.worker.sentence import Sentence

#: Of why a child was ended so much is told to the next one: the page has room for that, whatever the letters are.
_HOW_CHARS_MAX = 200


def how_it_ended(code: int) -> str:
    """Return exit code or signal, in words for people."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"


def packed_death(code: int, sentence: Sentence | None) -> bytes:
    """Return what the next child at a place is told of the death of the one before.

    Args:
        code: Exit code, negative for a signal.
        sentence: What it was ended for; None if it died by itself.
    """
    at_ms = int(time.time() * 1000)
    if sentence is None:
        return msgspec.msgpack.encode(Death(how_it_ended(code), at_ms))
    return msgspec.msgpack.encode(Death(sentence.told[:_HOW_CHARS_MAX], at_ms, sentence.state.value))


def read_death(packed: bytes) -> Death:
    """Return what `packed_death` packed."""
    return msgspec.msgpack.decode(packed, type=Death)
