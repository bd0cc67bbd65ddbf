"""Options of the simulation: which seeds to run."""

from __future__ import annotations

import pytest

#: Seeds of each history in one run of the tests; with nineteen histories, some 2,100. `make soak` runs more.
SEEDS = 110


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("simulation")
    group.addoption("--seed", type=int, help="simulate this one seed of each selected history")
    group.addoption("--seeds", type=int, default=SEEDS, help=f"simulate so many seeds (default: {SEEDS})")
    group.addoption("--first-seed", type=int, default=0, help="begin with this one (default: 0)")


@pytest.fixture
def seeds(request: pytest.FixtureRequest) -> range:
    """The seeds to run."""
    one = request.config.getoption("--seed", None)
    if one is not None:
        return range(one, one + 1)
    first = request.config.getoption("--first-seed", 0)
    return range(first, first + request.config.getoption("--seeds", SEEDS))
