"""The states of a message and the moves between them, as one table.

The scripts' guard, the property tests and the drawing in the docs are made from `MOVES`; nothing
else in TaskMesh says which move is allowed.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """Where a message stands. The value is the public name."""

    SCHEDULED = "SCHEDULED"
    PENDING = "PENDING"
    STARTED = "STARTED"
    RETRY = "RETRY"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"
    DEAD = "DEAD"


#: The letter that stands for each state in a record. Part of the stored format.
LETTER = MappingProxyType(
    {
        State.SCHEDULED: b"S",
        State.PENDING: b"P",
        State.STARTED: b"T",
        State.RETRY: b"Y",
        State.SUCCESS: b"K",
        State.FAILURE: b"F",
        State.REVOKED: b"V",
        State.EXPIRED: b"X",
        State.DEAD: b"D",
    }
)
STATE_OF = MappingProxyType({letter[0]: state for state, letter in LETTER.items()})

FINAL = frozenset({State.SUCCESS, State.FAILURE, State.REVOKED, State.EXPIRED, State.DEAD})
#: Final states whose envelope is kept, so that a person can look at it and send it again.
KEEPS_ENVELOPE = frozenset({State.FAILURE, State.DEAD})

#: from -> {to: what makes the move}
MOVES: MappingProxyType[State, MappingProxyType[State, str]] = MappingProxyType(
    {
        State.SCHEDULED: MappingProxyType(
            {
                State.PENDING: "due",
                State.REVOKED: "revoke",
                State.EXPIRED: "expires passed",
                State.DEAD: "not acceptable",
            }
        ),
        State.PENDING: MappingProxyType(
            {
                State.STARTED: "claim",
                State.REVOKED: "revoke",
                State.EXPIRED: "expires passed",
                State.DEAD: "not acceptable",
            }
        ),
        State.STARTED: MappingProxyType(
            {
                State.SUCCESS: "commit, Ignore",
                State.FAILURE: "commit, time_limit",
                State.RETRY: "commit",
                State.PENDING: "release, recall, graceful stop, worker dead",
                State.SCHEDULED: "snooze, parked",
                State.DEAD: "max_crashes, at_most_once, Reject, not acceptable",
                State.REVOKED: "revoke with terminate; revoke, where it would begin again",
                State.EXPIRED: "expires passed before it began",
            }
        ),
        State.RETRY: MappingProxyType(
            {
                State.PENDING: "due",
                State.REVOKED: "revoke",
                State.EXPIRED: "expires passed",
                State.DEAD: "not acceptable",
            }
        ),
        State.SUCCESS: MappingProxyType({}),
        State.FAILURE: MappingProxyType({}),
        State.REVOKED: MappingProxyType({}),
        State.EXPIRED: MappingProxyType({}),
        State.DEAD: MappingProxyType({}),
    }
)


def may_move(source: State, target: State) -> bool:
    """Tell whether the table allows the move."""
    return target in MOVES[source]


def lua_guard() -> str:
    """Return the table of moves as the Lua function `may_move(from_letter, to_letter)`.

    A string of pairs searched as plain text costs less per script run than a table built anew.
    """
    pairs = " ".join(
        (LETTER[source] + LETTER[target]).decode() for source, targets in MOVES.items() for target in targets
    )
    final = "".join(sorted(LETTER[state].decode() for state in FINAL))
    keeps = "".join(sorted(LETTER[state].decode() for state in KEEPS_ENVELOPE))
    return (
        f"local MOVES, FINAL, KEEPS_ENVELOPE = '{pairs}', '{final}', '{keeps}'\n"
        "local function may_move(from, to) return string.find(MOVES, from .. to, 1, true) ~= nil end\n"
        "local function is_final(state) return string.find(FINAL, state, 1, true) ~= nil end\n"
    )
