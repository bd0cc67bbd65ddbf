"""What a run is told as, for people and for scripts."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from taskmesh.cli.demo.alone import Alone
from taskmesh.cli.demo.analysis import FileFigures, FunctionFigures
from taskmesh.cli.demo.loss import Loss
from taskmesh.cli.demo.progress import showing
from taskmesh.cli.demo.report import FAILURES_SHOWN, Run, as_json, tables
from taskmesh.cli.demo.tally import Tally

FIGURES = FileFigures(
    lines=1200,
    functions=2,
    classes=1,
    branch_points=9,
    imports=3,
    modules=("os", "sys"),
    most_complex=(FunctionFigures("Thing.do", 7, 8), FunctionFigures("other", 3, 2)),
)


@pytest.fixture
def run() -> Run:
    tally = Tally()
    tally.add("good.py", FIGURES)
    tally.fail("bad.py", SyntaxError("invalid syntax", ("bad.py", 4, 1, "x = =")))
    return Run(
        root="/tree",
        workers=2,
        start_s=0.5,
        mesh_s=2.0,
        tally=tally,
        alone=Alone(seconds=3.0, totals=tally.totals),
    )


def printed(run: Run, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(*tables(run))
    return out.getvalue()


def test_tables_show_all_figures(run: Run) -> None:
    text = printed(run)
    assert "invalid syntax" in text
    assert "Thing.do" in text
    assert "1,200" in text
    assert "1.50 x" in text
    assert [line.split() for line in text.splitlines() if "2 workers" in line] == [
        ["2", "workers,", "a", "task", "a", "file", "2.00", "1", "1.50", "x"]
    ]


def test_tables_fit_a_narrow_terminal(run: Run) -> None:
    assert max(map(len, printed(run, width=60).splitlines())) <= 60


def test_many_failures_are_cut_with_a_note(run: Run) -> None:
    for number in range(FAILURES_SHOWN):
        run.tally.fail(f"z{number:02}.py", ValueError("null bytes"))
    text = printed(run)
    assert f"Failed tasks: {FAILURES_SHOWN + 1}" in text
    assert "and 1 more" in text
    assert f"z{FAILURES_SHOWN - 1}.py" not in text


def test_json_holds_everything(run: Run) -> None:
    document = json.loads(json.dumps(as_json(run)))
    assert document["totals"] == {
        "analysed": 1,
        "failed": 1,
        "lines": 1200,
        "functions": 2,
        "classes": 1,
        "branch_points": 9,
        "imports": 3,
    }
    assert document["most_complex"][0] == {"file": "good.py", "name": "Thing.do", "line": 7, "complexity": 8}
    assert document["most_imported"] == [{"module": "os", "files": 1}, {"module": "sys", "files": 1}]
    assert document["failures"] == [
        {"file": "bad.py", "error": "SyntaxError", "message": "invalid syntax", "line": 4}
    ]
    assert document["mesh"] == {"start_s": 0.5, "seconds": 2.0, "tasks_per_s": 1.0}
    assert document["one_process"] == {"seconds": 3.0, "same_totals": True}
    assert document["speed_up"] == 1.5


def test_without_the_comparison_the_rest_is_told(run: Run) -> None:
    lonely = replace(run, alone=None)
    assert "failed" in printed(lonely)
    document = as_json(lonely)
    assert (document["one_process"], document["speed_up"]) == (None, None)


def test_text_of_files_can_do_nothing_to_the_terminal(run: Run) -> None:
    run.tally.fail("a\x1b[31m[red]\udcff.py", ValueError("\u202e\x07"))
    text = printed(run)
    assert "a\\x1b[31m[red]\\udcff.py" in text
    assert "\\u202e\\x07" in text


def test_progress_without_a_terminal_is_ten_lines() -> None:
    out = io.StringIO()
    with showing(Console(file=out), "analysing", 1000) as show:
        for done in range(1, 1001):
            show(done)
    lines = out.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0] == "analysing: 100 of 1000"
    assert lines[-1] == "analysing: 1000 of 1000"


def test_progress_on_a_terminal_is_a_bar_that_is_left_full() -> None:
    out = io.StringIO()
    with showing(
        Console(file=out, force_terminal=True, width=100, _environ={"TERM": "xterm"}), "analysing", 3
    ) as show:
        for done in range(1, 4):
            show(done)
    assert "3/3" in out.getvalue().rpartition("2K")[2]


LOSS = Loss("n2", 1.0, 900, 1.25, 2, 1.5, 4.0, 1790, 1790)


def test_what_came_of_a_lost_node_is_told_in_order(run: Run) -> None:
    text = printed(replace(run, nodes=3, loss=LOSS))
    moments = [text.index(moment) for moment in ("1.00 s", "1.25 s", "1.50 s", "4.00 s")]
    assert moments == sorted(moments)
    assert "server of node n2 was killed (signal 9), after 900 results" in text
    assert "1,790 of 1,790 results arrived; the fail-over took 0.50 s" in text
    assert "3 nodes and workers were ready" in text
    assert "A node was lost" not in printed(run)


def test_what_was_not_seen_of_a_loss_is_not_made_up(run: Run) -> None:
    loss = replace(LOSS, noticed_s=None, view=None, active_s=None, whole_s=None, arrived=1700)
    text = printed(replace(run, loss=loss))
    assert text.count("not seen") == 3
    assert "1,700 of 1,790 results arrived " in text
    assert "fail-over took" not in text


def test_scripts_are_told_of_the_loss_as_well(run: Run) -> None:
    assert json.loads(json.dumps(as_json(run)))["loss"] is None
    told = json.loads(json.dumps(as_json(replace(run, nodes=3, loss=LOSS))))
    assert told["nodes"] == 3
    assert told["loss"]["failover_s"] == 0.5
    assert (told["loss"]["arrived"], told["loss"]["sent"], told["loss"]["view"]) == (1790, 1790, 2)
