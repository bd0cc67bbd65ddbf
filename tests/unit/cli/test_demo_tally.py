"""`Tally`: sums that do not depend on the order, and failures told in a line each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmesh.cli.demo.analysis import FileFigures, FunctionFigures, analyse_source
from taskmesh.cli.demo.tally import Tally, Totals, failure

COUNTS = st.integers(0, 1000)
NAMES = st.sampled_from(["os", "sys", "json", "re"])
FUNCTIONS = st.builds(FunctionFigures, name=NAMES, line=st.integers(1, 99), complexity=st.integers(1, 9))
FIGURES = st.builds(
    FileFigures,
    lines=COUNTS,
    functions=COUNTS,
    classes=COUNTS,
    branch_points=COUNTS,
    imports=COUNTS,
    modules=st.lists(NAMES, unique=True).map(tuple),
    most_complex=st.lists(FUNCTIONS, max_size=4, unique_by=lambda one: one.line).map(tuple),
)
FILES = st.dictionaries(st.text("abc", min_size=1), FIGURES | st.builds(ValueError, st.text()), max_size=20)


def tally_of(files: list[tuple[str, FileFigures | ValueError]]) -> Tally:
    tally = Tally()
    for file, outcome in files:
        if isinstance(outcome, FileFigures):
            tally.add(file, outcome)
        else:
            tally.fail(file, outcome)
    return tally


@given(FILES, st.randoms(use_true_random=False))
def test_the_order_of_files_makes_no_difference(files, random) -> None:
    shuffled = list(files.items())
    random.shuffle(shuffled)
    one, other = tally_of(list(files.items())), tally_of(shuffled)
    assert one.totals == other.totals
    assert one.failures == other.failures
    assert one.most_complex() == other.most_complex()
    assert one.most_imported() == other.most_imported()


@given(FILES)
def test_totals_are_sums(files) -> None:
    totals = tally_of(list(files.items())).totals
    analysed = [outcome for outcome in files.values() if isinstance(outcome, FileFigures)]
    assert (totals.analysed, totals.failed) == (len(analysed), len(files) - len(analysed))
    assert totals.lines == sum(figures.lines for figures in analysed)
    assert totals.imports == sum(figures.imports for figures in analysed)


@given(FILES)
def test_rankings_fall_and_hold_the_greatest(files) -> None:
    tally = tally_of(list(files.items()))
    everything = [f.complexity for o in files.values() if isinstance(o, FileFigures) for f in o.most_complex]
    assert [f.complexity for _, f in tally.most_complex(5)] == sorted(everything, reverse=True)[:5]
    imported = [count for _, count in tally.most_imported()]
    assert imported == sorted(imported, reverse=True)


def test_an_empty_tally_is_all_zero() -> None:
    tally = Tally()
    assert tally.totals == Totals()
    assert (tally.failures, tally.most_complex(), tally.most_imported()) == ([], [], [])


def error_of(source: bytes) -> Exception:
    try:
        analyse_source(source, "some.py")
    except (SyntaxError, ValueError) as error:
        return error
    raise AssertionError("it can be parsed")


@pytest.mark.parametrize(
    ("error", "name", "message", "line"),
    [
        (error_of(b"a\nb = = c"), "SyntaxError", "invalid syntax", 2),
        (error_of(b"if x:\npass"), "IndentationError", "expected an indented block", 2),
        (error_of(b"# coding: klingon\n"), "SyntaxError", "unknown encoding: klingon", None),
        (SyntaxError(), "SyntaxError", "no message", None),
        (MemoryError(), "MemoryError", "nested too deeply for the parser", None),
        (RecursionError("maximum depth"), "RecursionError", "maximum depth", None),
        (
            FileNotFoundError(2, "No such file or directory", "x.py"),
            "FileNotFoundError",
            "No such file",
            None,
        ),
        (ValueError(), "ValueError", "no message", None),
    ],
    ids=repr,
)
def test_a_failure_says_what_and_where(error: Exception, name: str, message: str, line: int | None) -> None:
    described = failure("some.py", error)
    assert (described.file, described.error, described.line) == ("some.py", name, line)
    assert described.message.startswith(message)
