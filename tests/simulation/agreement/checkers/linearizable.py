"""The second check of A3: a search for an order of all operations that explains what was told.

The search is Wing's and Gong's, with Lowe's memory of what was tried. It looks at contents and times only, and believes
no version. What has an unknown end may have happened at any time after it was asked, or never.
"""

from __future__ import annotations

from tests.simulation.agreement.checkers.broken import BrokenPromise
from tests.simulation.agreement.history import DONE, REJECTED, Asked, History

#: States looked at before the search gives up: histories of the simulation need far fewer.
STATES_MAX = 200_000


def check_linearizable(history: History) -> None:
    """Find an order for each register, or raise."""
    for name in sorted({asked.register for asked in history.asked}):
        asked = [each for each in history.of(name) if _matters(each)]
        if not is_linearizable(asked):
            lines = "\n".join(str(each.as_dict()) for each in asked)
            raise BrokenPromise(f"A3: {name}: no order explains what was told:\n{lines}")


def _matters(asked: Asked) -> bool:
    return asked.end == DONE or (asked.end != REJECTED and asked.kind != "read")


def is_linearizable(asked: list[Asked]) -> bool:
    """Tell whether operations on one register have an order that fits their times and answers."""
    asked = sorted(asked, key=lambda each: each.start_s)
    told = 0
    for at, each in enumerate(asked):
        if each.end == DONE:
            told |= 1 << at
    seen: set[tuple[int, bytes | None]] = set()
    # each entry: what has happened, as bits, and what the register holds then
    open_: list[tuple[int, bytes | None]] = [(0, None)]
    while open_:
        done, content = open_.pop()
        if done & told == told:
            return True
        if (done, content) in seen:
            continue
        seen.add((done, content))
        if len(seen) > STATES_MAX:
            raise AssertionError(f"{len(asked)} operations are too many to search")
        # nothing may come after an operation that ended before it was asked
        first_end_s = min(
            each.end_s for at, each in enumerate(asked) if told >> at & 1 and not done >> at & 1
        )
        for at, each in enumerate(asked):
            if each.start_s > first_end_s:
                break
            if done >> at & 1:
                continue
            after = _after(each, content)
            if each.end != DONE or after == each.content:
                open_.append((done | 1 << at, after))
    return False


def _after(asked: Asked, content: bytes | None) -> bytes | None:
    if asked.kind == "append":
        return (content or b"") + b" " + asked.word
    return None if asked.kind == "delete" else content
