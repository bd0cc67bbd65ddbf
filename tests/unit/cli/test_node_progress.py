"""What a command says while a change of the nodes is waited for."""

from __future__ import annotations

import pytest

from taskmesh.cli.node_changes import _show_until_done
from taskmesh.coordination.node_wish import NodeWish
from taskmesh.nodes.change_progress import NodeChange, Progress

CHANGE = NodeChange("n4", NodeWish("redis://10.0.0.4:6379"), 1, 1, 2, 1)
AWAY = Progress(is_done=False, text="is learner, and does not answer", hindrance="10.0.0.4 does not answer")


class _Looks:
    def __init__(self, *looks: Progress) -> None:
        self._looks = looks

    def watch(self, change: NodeChange) -> tuple[Progress, ...]:
        return self._looks


def test_it_says_each_time_once_why_it_cannot_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    copied = Progress(is_done=False, text="is being copied to")
    looks = _Looks(copied, AWAY, AWAY, copied, AWAY, Progress(is_done=True, text="keeps 2 slots"))
    _show_until_done(looks, CHANGE, "joins")  # type: ignore[arg-type]
    said = "n4 cannot go on: 10.0.0.4 does not answer. It goes on when it does, also after Ctrl-C"
    assert capsys.readouterr().err.splitlines() == [said, said]
