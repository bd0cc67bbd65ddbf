"""Who changes a register beside somebody who changes it over and over."""

from __future__ import annotations

from itertools import count

from taskmesh.consensus.registers import Operation
from tests.simulation.agreement.stage import Stage, append


def test_a_ballot_that_was_merely_too_low_is_followed_by_a_higher_one_at_once_also_after_a_pause():
    """Else it would be too low again each time: the other one counts on meanwhile, and needs no first phase."""
    stage, numbers = Stage("abc"), count()
    busy, slow = stage.registers(), stage.registers()

    def hurry() -> None:
        for _ in range(9):
            change = busy.change("r", append(b"x"), Operation(b"b%d" % next(numbers)), sticky=True)
            stage.talk(change).end("abc")

    stage.talk(slow.change("r", append(b"0"), Operation(b"s0"))).end("abc")
    hurry()
    talk = stage.talk(slow.change("r", append(b"1"), Operation(b"s1"))).until("accept", "abc")
    assert stage.now_s == 0
    hurry()
    talk.heard("abc")
    paused_s = stage.now_s
    assert paused_s > 0
    hurry()
    changed = talk.end("abc")
    assert changed.content is not None
    assert changed.content.endswith(b" 1")
    assert stage.now_s == paused_s
