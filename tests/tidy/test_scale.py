"""What `make chaos` does more of is there, and a share of it has each kind."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.faults.scale import REPEATING, VARIABLE, scaled
from tests.tidy.tree import ROOT


def test_what_repeats_itself_is_collected() -> None:
    tests = [f"tests/faults/{name}" for name in REPEATING]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(line for line in done.stdout.splitlines() if "::" in line) == sorted(tests)


def test_all_is_done_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert scaled(2, 6) == 2
    monkeypatch.setenv(VARIABLE, "1")
    assert scaled(2, 6) == 6


@pytest.mark.parametrize("name", REPEATING)
def test_each_of_them_asks_how_much_it_is_to_do(name: str) -> None:
    file, _, test = name.partition("::")
    text = (ROOT / "tests" / "faults" / file).read_text().partition(f"def {test}(")[2].partition("\ndef ")[0]
    assert "scaled(" in text
