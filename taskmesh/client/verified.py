"""What nodes tell of outcomes, in notices and in records: believed only once its signature was checked."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from taskmesh.codec.outcome import Outcome, decode_outcome
from taskmesh.core.notice import TOO_LARGE, split_notice
from taskmesh.core.state import FINAL
from taskmesh.errors import Malformed, TrustError

if TYPE_CHECKING:
    from taskmesh.client.result import AsyncResult
    from taskmesh.codec.signing import Signer
    from taskmesh.core.record import Record

log = logging.getLogger("taskmesh")

_FINAL_NAMES = frozenset(state.value for state in FINAL)


class Notice(NamedTuple):
    """What a notice says.

    Attributes:
        outcomes: Those that are final.
        is_cut: Whether there is one that was too large to be told, and is to be read.
    """

    outcomes: list[Outcome]
    is_cut: bool


def open_notice(notice: bytes, signer: Signer) -> Notice:
    """Return what a notice says; what is not of this mesh is never decoded, and said in the log.

    Args:
        notice: As it came.
        signer: Of results.
    """
    try:
        wires = list(split_notice(notice))
    except TrustError as error:
        log.warning("a notice was refused: %s", error)
        return Notice([], is_cut=False)
    outcomes = []
    for wire in wires:
        if wire == TOO_LARGE:
            continue
        try:
            outcome = decode_outcome(wire, signer)
        except TrustError as error:
            # the record is read in time
            log.warning("an outcome in a notice was refused: %s", error)
            continue
        if outcome.state in _FINAL_NAMES:
            outcomes.append(outcome)
    return Notice(outcomes, TOO_LARGE in wires)


def settle(handle: AsyncResult[Any], found: Record | Malformed | None, signer: Signer) -> Outcome | None:
    """Put what a record says into its handle, but for the outcome, which is returned: others may wait for it, too.

    Args:
        handle: Which.
        found: Its record; None for none.
        signer: Of results.
    """
    if found is None:
        handle.set_missing(expired=False)
        return None
    if isinstance(found, Malformed):
        handle.set_fault(found)
        return None
    handle.missing = False
    handle.last_state = found.state
    if found.state not in FINAL:
        if found.outcome:
            _note_history(handle, found, signer)
        return None
    if not found.outcome:
        handle.set_missing(expired=True, kept_s=found.result_ttl_s)
        return None
    try:
        outcome = decode_outcome(found.outcome, signer, expect_id=handle.id)
        _check_state(outcome, found)
    except TrustError as error:
        fault = type(error)(f"the result of task {handle.id} cannot be trusted: {error}")
        fault.__cause__ = error
        handle.set_fault(fault)
        return None
    return outcome


def _note_history(handle: AsyncResult[Any], found: Record, signer: Signer) -> None:
    """Put what is signed of the attempts so far into the handle; nobody waits for it, so no fault is made of it."""
    from taskmesh.codec.attempts import open_history

    try:
        handle.history = open_history(found.outcome, signer, expect_id=handle.id)
    except TrustError as error:
        log.warning("the attempts of task %s cannot be trusted: %s", handle.id, error)


def _check_state(outcome: Outcome, found: Record) -> None:
    """Raise `Malformed` if a signed outcome does not say what its record says."""
    if outcome.state != found.state.value:
        raise Malformed(
            f"the record of {outcome.id} says {found.state}, its signed outcome says {outcome.state}: somebody "
            "changed the record"
        )
