"""The long run tells which seeds it runs, and which fail; it goes on after one."""

from __future__ import annotations

import pytest

from tests.simulation.soak import AGREEMENT, BLOCK, MESH, TIMES, main


class Runs:
    """Notes what is run; one seed fails."""

    def __init__(self, failing: int | None = None) -> None:
        self.failing = failing
        self.blocks: list[tuple[str, int, int]] = []

    def __call__(self, history: str, seeds: range) -> list[tuple[int, str]]:
        self.blocks.append((history, seeds[0], seeds[-1]))
        return [(self.failing, "its traceback")] if self.failing in seeds else []


def test_each_history_has_its_turn_before_one_has_the_next_block(capsys: pytest.CaptureFixture[str]) -> None:
    runs = Runs()
    words = ["--seeds", str(BLOCK + 1), "--from", "50", "--history", "crashes", "--history", "keyed"]
    assert main(words, runs) == 0
    first, last = 50 + BLOCK - 1, 50 + BLOCK
    assert runs.blocks == [
        ("crashes", 50, first),
        ("keyed", 50, first),
        ("crashes", last, last),
        ("keyed", last, last),
    ]
    assert f"seeds 50 to {first} ... all promises held" in capsys.readouterr().out


def test_a_seed_that_fails_is_told_with_what_replays_it_and_the_others_are_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = Runs(failing=3)
    assert main(["--seeds", str(2 * BLOCK), "--history", "crashes"], runs) == 1
    assert len(runs.blocks) == 2
    told = capsys.readouterr().out
    assert "its traceback" in told
    assert "python -m tests.simulation crashes 3" in told
    assert "failed: crashes 3" in told


@pytest.mark.parametrize("words", [["--history", "nonsense"], ["--seeds", "0"], ["--from", "x"]])
def test_what_cannot_be_run_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(words, Runs())
    assert words[0] in capsys.readouterr().err


def test_one_seed_is_replayed_with_its_calls(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--replay", "lost_replies", "5", "queue.enqueue"]) == 0
    assert "queue.enqueue" in capsys.readouterr().out


def test_many_more_seeds_of_the_agreement_are_run(capsys: pytest.CaptureFixture[str]) -> None:
    """For they take so much less time."""
    runs = Runs(failing=6001)
    assert main(["--seeds", "3", "--from", "1", "--history", "agreement"], runs) == 1
    assert runs.blocks == [("agreement", TIMES[AGREEMENT], 4 * TIMES[AGREEMENT] - 1)]
    assert "python -m tests.simulation.agreement 6001" in capsys.readouterr().out


def test_many_more_seeds_of_the_mesh_are_run(capsys: pytest.CaptureFixture[str]) -> None:
    runs = Runs(failing=2001)
    assert main(["--seeds", "2", "--from", "1", "--history", "mesh"], runs) == 1
    assert runs.blocks == [("mesh", TIMES[MESH], 3 * TIMES[MESH] - 1)]
    assert "python -m tests.simulation.mesh 2001" in capsys.readouterr().out


def test_a_seed_of_the_mesh_is_replayed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--replay", "mesh", "5", "enqueue"]) == 0
    assert "queue.enqueue" in capsys.readouterr().out


def test_a_seed_of_the_agreement_is_replayed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--replay", "agreement", "5", "prepare"]) == 0
    assert "PROMISED" in capsys.readouterr().out


@pytest.mark.slow
def test_seeds_are_run_on_all_cores(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "3", "--from", "7", "--history", "recalls"]) == 0
    assert "3 seeds of 1 histories held" in capsys.readouterr().out
