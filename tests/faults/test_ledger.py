"""The ledger itself: a history in order balances, and every kind of forgery is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.ledger import Imbalance, Ledger, Reading, Run, Seen

CHILD, TEMPLATE = 100, 10


def in_order() -> Ledger:
    """Return a history: one message ended at once, one failed, one ran twice after a kill, one was not sent."""
    ledger = Ledger(
        accepted={"one": "ok", "two": "fail", "three": "ok"},
        unknown={"four": "ok", "five": "ok"},
        rejected={"six"},
        counted=4,
        gone={CHILD + 1},
    )
    runs = [
        Run("one", "r1", 0, CHILD, TEMPLATE),
        Run("two", "r2", 0, CHILD, TEMPLATE),
        Run("three", "r3", 0, CHILD + 1, TEMPLATE, "w1"),
        Run("three", "r4", 1, CHILD, TEMPLATE),
        Run("four", "r5", 0, CHILD, TEMPLATE),
    ]
    ledger.begins, ledger.ends = list(runs), [run for run in runs if run.name != "r3"]
    seen = {
        "one": Seen("SUCCESS", "r1"),
        "two": Seen("FAILURE", "r2"),
        "three": Seen("SUCCESS", "r4"),
        "four": Seen("SUCCESS", "r5"),
    }
    for reader in ("own", "other", "own", "other"):
        ledger.note(reader, dict(seen))
    return ledger


def see(ledger: Ledger, at: int, task_id: str, seen: Seen | None) -> None:
    """Doctor one reading."""
    reading = ledger.readings[at]
    changed = {key: value for key, value in reading.seen.items() if key != task_id}
    ledger.readings[at] = Reading(reading.reader, changed | ({task_id: seen} if seen else {}))


def lose_it(ledger: Ledger) -> None:
    for at in range(4):
        see(ledger, at, "one", None)
    ledger.counted = 3


def leave_it_started(ledger: Ledger) -> None:
    for at in range(4):
        see(ledger, at, "one", Seen("STARTED"))
    ledger.counted = 3


def leave_what_may_be_recorded(ledger: Ledger) -> None:
    see(ledger, 3, "five", Seen("PENDING"))


def change_the_outcome(ledger: Ledger) -> None:
    for at in (2, 3):
        see(ledger, at, "three", Seen("SUCCESS", "r3"))
    ledger.ends.append(ledger.begins[2])


def forget_the_outcome(ledger: Ledger) -> None:
    see(ledger, 2, "one", None)


def show_it_to_one_reader_only(ledger: Ledger) -> None:
    for at in (1, 3):
        see(ledger, at, "two", Seen("STARTED"))


def make_up_an_outcome(ledger: Ledger) -> None:
    for at in range(4):
        see(ledger, at, "one", Seen("SUCCESS", "made-up"))


def succeed_without_a_run(ledger: Ledger) -> None:
    ledger.begins = [run for run in ledger.begins if run.task_id != "one"]
    ledger.ends = [run for run in ledger.ends if run.task_id != "one"]


def succeed_where_it_failed(ledger: Ledger) -> None:
    for at in range(4):
        see(ledger, at, "two", Seen("SUCCESS", "r2"))


def call_it_overdue(ledger: Ledger) -> None:
    ledger.accepted["two"] = "overdue"


def give_it_up(ledger: Ledger) -> None:
    for at in range(4):
        see(ledger, at, "one", Seen("DEAD", "it died"))


def run_it_again_for_no_reason(ledger: Ledger) -> None:
    ledger.gone = set()


def run_it_again_after_the_end(ledger: Ledger) -> None:
    ledger.begins.append(Run("one", "r6", 0, CHILD, TEMPLATE))


def record_what_was_rejected(ledger: Ledger) -> None:
    see(ledger, 1, "six", Seen("PENDING"))


def run_what_was_rejected(ledger: Ledger) -> None:
    ledger.begins.append(Run("six", "r6", 0, CHILD, TEMPLATE))


def run_what_nobody_sent(ledger: Ledger) -> None:
    ledger.begins.append(Run("seven", "r6", 0, CHILD, TEMPLATE))


def commit_twice(ledger: Ledger) -> None:
    ledger.counted = 5


def end_what_never_began(ledger: Ledger) -> None:
    ledger.ends.append(Run("one", "r9", 0, CHILD, TEMPLATE))


def read_once(ledger: Ledger) -> None:
    ledger.readings = ledger.readings[:3]


def ask_one_reader_only(ledger: Ledger) -> None:
    ledger.readings = [reading for reading in ledger.readings if reading.reader == "own"]


FORGERIES: dict[Callable[[Ledger], None], str] = {
    lose_it: "was accepted, and own finds nothing",
    leave_it_started: "was accepted, and own sees it STARTED",
    leave_what_may_be_recorded: "sees it PENDING for ever",
    change_the_outcome: r"three was .*r4.* to own, and is .*r3",
    forget_the_outcome: "one was .* to own, and is None to own",
    show_it_to_one_reader_only: "two was .* to own, and is .*STARTED.* to other",
    make_up_an_outcome: "one has the outcome 'made-up'",
    succeed_without_a_run: "one has the outcome 'r1', and its runs were set()",
    succeed_where_it_failed: "two is of kind 'fail'",
    call_it_overdue: "two should be ended by its limit, and own sees .*r2",
    give_it_up: "one is of kind 'ok', and own sees .*DEAD",
    run_it_again_for_no_reason: "three was begun 2 times, and process 101 was never harmed",
    run_it_again_after_the_end: "one was begun 2 times, and process 100 was never harmed",
    record_what_was_rejected: "six was rejected, and other sees",
    run_what_was_rejected: "six was rejected, and was run",
    run_what_nobody_sent: "seven was never sent, and was run",
    commit_twice: "counted 5 ends, and 4 messages have ended",
    end_what_never_began: "run r9 of one ended and never began",
    read_once: "two readers should have read twice each",
    ask_one_reader_only: "two readers should have read twice each",
}


def test_a_history_in_order_balances() -> None:
    in_order().check()


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_a_doctored_history_is_found(forge: Callable[[Ledger], None]) -> None:
    ledger = in_order()
    forge(ledger)
    with pytest.raises(Imbalance, match=FORGERIES[forge].replace("()", r"\(\)")):
        ledger.check()


def test_what_a_fault_explains_is_no_imbalance() -> None:
    """The death of its parent takes a child along; an older disk forgets, or runs again what it brings back."""
    ledger = in_order()
    ledger.gone = {TEMPLATE}
    ledger.check()
    ledger.gone, ledger.suspected = set(), {"w1"}
    ledger.check()
    ledger = in_order()
    lose_it(ledger)
    ledger.lost = {"one"}
    ledger.check()
    ledger = in_order()
    change_the_outcome(ledger)
    run_it_again_after_the_end(ledger)
    ledger.older = {"one", "three"}
    ledger.check()


def test_the_book_is_read_as_tasks_write_it(tmp_path: Path) -> None:
    book = tmp_path / "book"
    book.write_text("begin one r1 0 100 10 w1\nend one r1 0 100 10 w1\n")
    ledger = Ledger()
    ledger.read_book(book)
    assert ledger.begins == ledger.ends == [Run("one", "r1", 0, 100, 10, "w1")]
    ledger.read_book(tmp_path / "none")
    assert ledger.begins == []
