"""A3: each register is linearizable. Versions say in which order changes happened; what was told must fit that order.

`linearizable.py` is the other check of this promise, which believes no version.
"""

from __future__ import annotations

from bisect import bisect_left

from tests.simulation.agreement.checkers.broken import BrokenPromise
from tests.simulation.agreement.checkers.chain import Chain, Chains
from tests.simulation.agreement.history import DONE, Asked, History


def check_registers(history: History, chains: Chains) -> None:
    """See that whoever asked later was told of everything that somebody had been told before."""
    for name in sorted({asked.register for asked in history.asked}):
        _check(name, [asked for asked in history.of(name) if asked.end == DONE], chains.of(name))


def _check(name: str, done: list[Asked], chain: Chain) -> None:
    gone = [0, *sorted(version for version, content in chain.contents.items() if content is None)]
    placed: dict[int, int] = {}
    ended = sorted(done, key=lambda asked: asked.end_s)
    at = least = 0
    for asked in sorted(done, key=lambda asked: asked.start_s):
        while ended[at].end_s < asked.start_s:
            least = max(least, placed[id(ended[at])])
            at += 1
        version = asked.version or _absence(name, asked, least, gone, chain)
        if version < least or (version == least and asked.kind != "read"):
            raise BrokenPromise(
                f"A3: {name}: {asked.as_dict()} was told version {version}; somebody knew {least} before it was asked"
            )
        placed[id(asked)] = version


def _absence(name: str, asked: Asked, least: int, gone: list[int], chain: Chain) -> int:
    """Return the first version at which a register was not there, and can have been found so."""
    after = bisect_left(gone, least)
    if after == len(gone) or chain.since_s.get(gone[after], 0.0) > asked.end_s:
        raise BrokenPromise(
            f"A3: {name}: {asked.as_dict()} was told that it is not there; it was, from version {least} on"
        )
    return gone[after]
