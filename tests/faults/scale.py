"""How much of what repeats itself is done: a share of it by `make test`, all by `make chaos`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

#: Set by `make chaos`.
VARIABLE = "TASKMESH_TEST_CHAOS"
#: The tests that do more then.
REPEATING = (
    "test_leaders.py::test_leaders_are_lost_in_a_row",
    "test_mesh_nodes.py::test_anything_befalls_any_node",
    "test_partitions.py::test_a_minority_does_nothing_and_a_majority_goes_on",
    "test_rabbitmq.py::test_rabbitmq_is_harmed_under_load",
    "test_rabbitmq.py::test_a_queue_is_deleted_under_load",
)


def scaled(share: T, whole: T) -> T:
    """Return what is to be done here: a share which has each kind of it once, or the whole."""
    return whole if VARIABLE in os.environ else share


def run_whole(words: Sequence[str] = ()) -> int:
    """Run the tests that repeat themselves, all of it; return the exit code of pytest.

    Args:
        words: Further arguments for pytest.
    """
    folder = Path(__file__).parent
    tests = [f"{folder}/{name}" for name in REPEATING]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *tests, *words],
        env=os.environ | {VARIABLE: "1"},
        cwd=folder.parents[1],
        check=False,
    ).returncode
