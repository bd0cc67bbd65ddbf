"""What a caller's type checker says about calls: `calls.py`, through `mypy --strict`.

A line that must be refused ends in `# E:` and a piece of what mypy says; every other line must pass.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

CALLS = Path(__file__).with_name("calls.py")
EXPECTED = re.compile(r"#\s*E:\s*(.+?)\s*$")
REPORTED = re.compile(r"^[^:]*calls\.py:(\d+): error: (.*)$")


def expected_errors(text: str) -> dict[int, str]:
    """Return the piece of an error that each marked line must give, by line number."""
    found = ((number, EXPECTED.search(line)) for number, line in enumerate(text.splitlines(), 1))
    return {number: match[1] for number, match in found if match}


@pytest.fixture(scope="module")
def reported(tmp_path_factory) -> dict[int, list[str]]:
    """Return what mypy says of `calls.py`, by line number."""
    # A folder and a configuration of their own: the project's `files` and exceptions must not count here.
    folder = tmp_path_factory.mktemp("typing")
    (folder / "mypy.ini").write_text("[mypy]\nstrict = True\nwarn_unreachable = True\n")
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", folder / "mypy.ini", "--cache-dir", folder / "cache",
         "--follow-imports", "silent", "--no-pretty", "--no-color-output", "--show-error-codes", CALLS],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert run.returncode in (0, 1), run.stdout + run.stderr  # 2: mypy itself could not run
    found: dict[int, list[str]] = {}
    for line in run.stdout.splitlines():
        match = REPORTED.match(line)
        if match:
            found.setdefault(int(match[1]), []).append(match[2])
    return found


def test_there_are_right_calls_and_wrong_ones():
    text = CALLS.read_text()
    assert len(expected_errors(text)) >= 10
    assert text.count("assert_type(") >= 10


def test_right_calls_pass_with_the_types_that_are_promised(reported):
    expected = expected_errors(CALLS.read_text())
    assert {number: texts for number, texts in reported.items() if number not in expected} == {}


def test_each_wrong_call_is_refused_for_its_own_reason(reported):
    missed = {
        number: (piece, reported.get(number))
        for number, piece in expected_errors(CALLS.read_text()).items()
        if not any(piece in text for text in reported.get(number, []))
    }
    assert missed == {}
