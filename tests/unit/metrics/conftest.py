"""Prometheus' own tool, where the machine has it."""

from __future__ import annotations

import os
import shutil

import pytest


@pytest.fixture(scope="session")
def promtool() -> str:
    found = shutil.which("promtool") or os.environ.get("TASKMESH_TEST_PROMTOOL")
    if not found:
        pytest.skip(
            "promtool is not on the PATH (package prometheus has it); prometheus_client reads all the same"
        )
    return found
