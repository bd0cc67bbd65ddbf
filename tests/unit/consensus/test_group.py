"""What people are told when no majority agreed."""

from __future__ import annotations

import pytest

from taskmesh.consensus.configuration import Member
from taskmesh.consensus.group import ask_group
from taskmesh.consensus.scripts import PREPARE
from taskmesh.core.steps import NoAnswer, Refused


def test_each_reason_is_told_once_and_in_words() -> None:
    members = [Member(f"i{at}", f"redis://{host}:7001") for at, host in enumerate("abcde")]
    steps = ask_group(b"p", members, PREPARE, agrees=b"PROMISED")
    next(steps)
    conflict = [b"CONFLICT", b"97", b"1650422242018"]
    lost = Refused("redis://c:7001: Connection refused")  # as a connection says it
    with pytest.raises(StopIteration) as stop:
        steps.send([conflict, conflict, lost, NoAnswer("it hangs"), [b"FAULT", b"1"]])
    assert stop.value.value.why() == (
        "another change came first; FAULT 1; redis://c:7001: Connection refused; redis://d:7001: it hangs"
    )
