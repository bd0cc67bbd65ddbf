"""Options of the simulation of agreement."""

from __future__ import annotations

import pytest

#: Runs in one run of the tests: half a minute on two cores. `make soak` runs two million.
SEEDS = 8_000


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("simulation")
    group.addoption(
        "--agreement-seeds",
        type=int,
        default=SEEDS,
        help=f"simulate agreement so many times (default: {SEEDS})",
    )
    group.addoption("--agreement-first", type=int, default=0, help="begin with this seed (default: 0)")


@pytest.fixture
def agreement_seeds(request: pytest.FixtureRequest) -> range:
    """The seeds to run."""
    first = request.config.getoption("--agreement-first", 0)
    return range(first, first + request.config.getoption("--agreement-seeds", SEEDS))
