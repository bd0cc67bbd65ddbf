"""The table of faults: each test that it names exists, and each file of such tests is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tidy.tree import ROOT

FAULTS = ROOT / "tests" / "faults"
PROOF = re.compile(r"`((?:tests/(?:\w+/)+)?test_\w+\.py)::(test_\w+)`")
#: They test the tests, or starting and stopping where nothing is broken.
OTHERS = {"test_ledger.py", "test_proxy.py", "test_launching.py", "test_orders.py", "test_spawn.py"}


def rows() -> list[str]:
    text = (ROOT / "docs" / "faults.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [line for line in lines if not line.startswith(("| fault", "| ---"))]


def place(file: str) -> Path:
    """Return where a test stands: in the folder of faults, unless another is named."""
    return ROOT / file if "/" in file else FAULTS / file


def test_there_is_a_row_for_every_fault_there_ought_to_be():
    assert len(rows()) >= 20


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.split("|")[1].strip())
def test_a_row_names_a_promise_and_a_test_that_exists(row):
    _, fault, promise, proof, _ = row.split("|")
    assert fault.strip()
    assert promise.strip()
    proofs = PROOF.findall(proof)
    assert proofs, "no test is named"
    assert [name for file, name in proofs if f"def {name}(" not in place(file).read_text()] == [], (
        "not to be found"
    )


def test_every_file_of_such_tests_is_named():
    named = {file for row in rows() for file, _ in PROOF.findall(row)}
    assert {path.name for path in FAULTS.glob("test_*.py")} - OTHERS - named == set()
