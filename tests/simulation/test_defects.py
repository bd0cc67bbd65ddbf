"""The checkers are tested too: each wrong rule of the bank must be found within its seeds."""

from __future__ import annotations

import pytest

from taskmesh.balancing.strategy import Strategy
from taskmesh.queue.claim import CLAIM
from tests.simulation.conftest import SEEDS
from tests.simulation.defects import DEFECTS, Defect
from tests.simulation.garbage import collecting_later
from tests.simulation.patching import PatchOutdated, Rule, in_place_of, patched
from tests.simulation.world import World


@pytest.mark.slow
@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name.replace(" ", "-"))
def test_defect_is_found(defect: Defect) -> None:
    """The right rules pass these very seeds: see `test_history`."""
    with defect.in_place() as scripts, collecting_later():
        for seed in defect.in_order(defect.seeds):
            try:
                World(defect.history, seed, scripts).run()
            except Exception as found:  # noqa: BLE001 - it may break anything, also the simulated workers themselves
                print(f"found by seed {seed}: {found}")
                return
    pytest.fail(f"not found within {defect.seeds} seeds of {defect.history}: {defect.name}")


def test_no_defect_needs_more_seeds_than_are_known_to_pass() -> None:
    assert max(defect.seeds for defect in DEFECTS) <= SEEDS


@pytest.mark.parametrize(
    "defect",
    [each for each in DEFECTS if each.found_by >= SEEDS],
    ids=lambda defect: defect.name.replace(" ", "-"),
)
def test_what_a_seed_beyond_those_finds_is_the_defect(defect: Defect) -> None:
    World(defect.history, defect.found_by).run()


def test_a_patch_of_a_text_that_is_gone_fails_loudly() -> None:
    with pytest.raises(PatchOutdated, match="0 times"):
        patched(CLAIM, ("this text is not there", ""))
    with pytest.raises(PatchOutdated, match="times, not once"):
        patched(CLAIM, ("CALL", ""))
    with (
        pytest.raises(PatchOutdated, match="0 times"),
        in_place_of(Rule(Strategy, "is_owed"), ("not there", "")),
    ):
        pass


def test_a_function_is_right_again_afterwards() -> None:
    rule = Rule(Strategy, "is_owed")
    right = rule.function
    with in_place_of(rule, ("load.passes > 0", "True")):
        assert rule.function is not right
    assert rule.function is right
