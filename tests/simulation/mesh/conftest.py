"""Options of the simulation of the mesh."""

from __future__ import annotations

import pytest

#: Runs in one run of the tests. `make soak` runs a million.
SEEDS = 3_200


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("simulation")
    group.addoption(
        "--mesh-seeds", type=int, default=SEEDS, help=f"simulate the mesh so many times (default: {SEEDS})"
    )
    group.addoption("--mesh-first", type=int, default=0, help="begin with this seed (default: 0)")


@pytest.fixture
def mesh_seeds(request: pytest.FixtureRequest) -> range:
    """The seeds to run."""
    first = request.config.getoption("--mesh-first", 0)
    return range(first, first + request.config.getoption("--mesh-seeds", SEEDS))
