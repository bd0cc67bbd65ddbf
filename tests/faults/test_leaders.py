"""Leaders are lost in every way: each firing comes once, tokens grow, an old leader is not obeyed."""

from __future__ import annotations

from pathlib import Path

from tests.faults.leaders import drawn, play
from tests.faults.scale import scaled
from tests.faults.server import Server


def test_leaders_are_lost_in_a_row(server: Server, tmp_path: Path, seed: int) -> None:
    """Of three candidates, or five: it is stopped gently, killed, paused past its lease and resumed, cut off."""
    count = scaled(4, 10)
    contest = play(server, tmp_path, drawn(count, seed), candidates=scaled(3, 5))
    assert contest.lost.total() == count
    assert set(contest.lost) == {"term", "kill", "stop", "cut"}
