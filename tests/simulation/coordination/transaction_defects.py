"""The defect bank of transactions: one rule taken away each, which the histories must find."""

from __future__ import annotations

import os
from typing import Any

from taskmesh.consensus.registers import Change, Keep, Verdict, Versioned
from taskmesh.coordination import transaction, transaction_sweep
from taskmesh.coordination.transaction import COMMITTED, TransactionState, read_transaction
from tests.simulation.coordination.defects import Defect
from tests.simulation.coordination.transactions import transactions

COMMITTING = "taskmesh.coordination.committing"
SWEEP = "taskmesh.coordination.transaction_sweep"
#: Kinds of trouble.
DIES = {"faults": 8, "crash": 3.0, "pause": 1.0, "changes": 3, "processes": 3, "long_s": 12.0}
LATE = {"faults": 6, "pause": 3.0, "late": 0.3, "late_s": 3.0, "lost": 0.1, "changes": 3, "processes": 4}
LONG = {**DIES, "changes": 4, "long_s": 25.0}

_decided = transaction.decided


def whoever_decided_before(new: TransactionState) -> Change:
    """Decide again, where another attempt was decided before."""

    def change(found: Versioned) -> Verdict:
        old = read_transaction(found)
        if old is not None and old.phase == COMMITTED and old.attempt != new.attempt:
            return _decided(new)(Versioned(0, None))
        return _decided(new)(found)

    return change


def whatever_it_wanted(new: TransactionState) -> Change:
    """Say of every other attempt that it wanted the same."""

    def change(found: Versioned) -> Verdict:
        verdict = _decided(new)(found)
        return Keep(b"same") if isinstance(verdict, Keep) and verdict.answer == b"other" else verdict

    return change


def though_it_was_given_up(new: TransactionState) -> Change:
    """Tell the one who was given up that his attempt is decided."""

    def change(found: Versioned) -> Verdict:
        verdict = _decided(new)(found)
        return Keep(b"committed") if isinstance(verdict, Keep) and verdict.answer == b"aborted" else verdict

    return change


def another_operation_each_time(*_: Any) -> bytes:
    return os.urandom(12)


def nobody_notes_it(attempt: bytes, positions: set[int]) -> Change:
    return lambda _: Keep()


def done_at_once(settled: Any) -> Any:
    """Take every message for one of which nothing is left to be done."""
    return {*settled.accepted, *settled.left}


def never(_: Any, __: Any, ___: Any) -> Any:
    yield from ()
    return transaction_sweep.Completed(COMMITTED)


DEFECTS = (
    Defect(
        "a transaction is decided twice by one id",
        transactions,
        {f"{COMMITTING}.decided": whoever_decided_before},
        LATE,
        100,
    ),
    Defect(
        "whatever an id was decided for counts as the same",
        transactions,
        {f"{COMMITTING}.decided": whatever_it_wanted},
        {},
        100,
    ),
    Defect(
        "who was given up hears that he decided",
        transactions,
        {f"{COMMITTING}.decided": though_it_was_given_up},
        LONG,
    ),
    Defect(
        "each who completes changes a file by an operation of his own",
        transactions,
        {f"{COMMITTING}.operation_of": another_operation_each_time},
        LATE,
        100,
    ),
    Defect(
        "which messages are recorded is not noted",
        transactions,
        {f"{COMMITTING}.progressed": nobody_notes_it},
        LONG,
    ),
    Defect(
        "messages for which there was no room count as recorded",
        transactions,
        {f"{COMMITTING}._settled": done_at_once},
        LONG,
        100,
    ),
    Defect(
        "nobody completes what another decided",
        transactions,
        {f"{SWEEP}.complete": never},
        DIES,
        100,
    ),
)
