"""`taskmesh demo` as users meet it: a process of its own, an empty home, signals, nothing left behind."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.support import wait_until

pytestmark = pytest.mark.needs_server

DEMO = "from taskmesh.cli.main import main; main()"
# Ctrl-C reaches the processes of a terminal only if it is their controlling one.
DEMO_ON_A_TERMINAL = f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); {DEMO}"
MARK = "TASKMESH_TEST_DEMO_MARK"


@dataclass
class Place:
    """Where a demo runs, and what it leaves there."""

    home: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def environ(self) -> dict[str, str]:
        kept = ("PATH", "PYTHONPATH", "LANG", "VIRTUAL_ENV", "COVERAGE_PROCESS_START")
        environ = {name: os.environ[name] for name in kept if name in os.environ}
        return environ | {"HOME": str(self.home), "TMPDIR": str(self.home), MARK: self.mark}

    def command(self, *arguments: str, program: str = DEMO) -> list[str]:
        return [sys.executable, "-c", program, "demo", *arguments]

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env=self.environ | environ,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def processes(self) -> list[psutil.Process]:
        """Every process that runs and has inherited our mark, directly or not."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == self.mark
        except psutil.Error:
            return False

    def assert_empty(self) -> None:
        assert self.processes() == []
        assert list(self.home.rglob("*")) == []


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    home = tmp_path / "home"
    home.mkdir()
    place = Place(home)
    yield place
    for process in place.processes():
        process.kill()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "package").mkdir(parents=True)
    for number in range(12):
        source = f"import os\ndef f{number}(x):\n" + "    if x: pass\n" * number + "    return '\\d'\n"
        (root / "package" / f"module{number}.py").write_text(source)
    (root / "broken.py").write_text("x = 1\ny = = 2\n")
    (root / "odd.py").write_bytes(b"x = '\xff'\n")
    (root / "deep.py").write_text("(" * 5000 + ")" * 5000)
    (root / "nested.py").write_text("-" * 100_000 + "1")
    (root / "null.py").write_bytes(b"x = 1\0\n")
    return root


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Read lines of standard error up to one that begins with `text`."""
    read = ""
    assert process.stderr is not None
    for line in process.stderr:
        read += line
        if line.startswith(text):
            return read
    raise AssertionError(f"no line begins with {text!r}:\n{read}")


def test_no_result_is_lost_with_a_node(place: Place, tree: Path) -> None:
    for number in range(150):
        (tree / f"more{number}.py").write_text("import os\n" * 50)
    done = place.run("--path", str(tree), "--workers", "2", "--nodes", "3", "--kill-one", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    loss = told["loss"]
    assert loss["arrived"] == loss["sent"] == 167
    assert told["one_process"]["same_totals"]
    assert loss["sent"] / 2 <= loss["done_before"] < loss["sent"]
    assert loss["killed_s"] <= loss["noticed_s"] <= loss["active_s"] <= loss["whole_s"]
    place.assert_empty()


@pytest.mark.parametrize("nodes", ["1", "2"])
def test_of_too_few_nodes_none_is_killed(place: Place, nodes: str) -> None:
    done = place.run("--nodes", nodes, "--kill-one")
    assert done.returncode == 2
    assert "--kill-one needs --nodes 3 or more" in done.stderr
    place.assert_empty()


def test_the_standard_library_with_nothing_configured(place: Place) -> None:
    done = place.run("--limit", "60")
    assert done.returncode == 0, done.stderr
    assert "Most complex functions" in done.stdout
    assert "Most imported modules" in done.stdout
    assert "one process" in done.stdout
    assert "a task a file" in done.stdout
    assert "60 files" in done.stderr
    assert "Traceback" not in done.stderr
    place.assert_empty()


def test_json_is_one_document_and_broken_files_are_failed_tasks(place: Place, tree: Path) -> None:
    done = place.run("--path", str(tree), "--workers", "3", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["workers"] == 3
    assert document["totals"]["analysed"] == 12
    assert document["totals"]["failed"] == 5
    assert document["most_complex"][0] == {
        "file": "package/module11.py",
        "name": "f11",
        "line": 2,
        "complexity": 12,
    }
    assert document["most_imported"] == [{"module": "os", "files": 12}]
    assert document["one_process"]["same_totals"] is True
    assert document["mesh"]["tasks_per_s"] > 0
    failures = {failed["file"]: failed for failed in document["failures"]}
    assert list(failures) == ["broken.py", "deep.py", "nested.py", "null.py", "odd.py"]
    assert failures["broken.py"] == {
        "file": "broken.py",
        "error": "SyntaxError",
        "message": "invalid syntax",
        "line": 2,
    }
    assert "utf-8" in failures["odd.py"]["message"]
    assert failures["deep.py"]["error"] in ("SyntaxError", "MemoryError", "RecursionError")
    assert failures["nested.py"]["error"] in ("MemoryError", "RecursionError")
    # Notes only: no warnings of the parser, no log of the workers.
    assert {line.partition(":")[0] for line in done.stderr.splitlines()[1:]} == {"3 workers", "1 process"}
    place.assert_empty()


def test_settings_of_other_meshes_are_not_the_demos(place: Place, tree: Path) -> None:
    done = place.run(
        "--path",
        str(tree),
        "--json",
        TASKMESH_NODES="redis://127.0.0.1:1",
        TASKMESH_EAGER="1",
        TASKMESH_KEY="x" * 32,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["totals"]["analysed"] == 12
    place.assert_empty()


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_nothing_to_analyse_is_a_usage_error(place: Place, tmp_path: Path, kind: str) -> None:
    target = tmp_path / kind
    if kind == "empty":
        target.mkdir()
    elif kind == "file":
        target.write_text("x")
    done = place.run("--path", str(target))
    assert done.returncode == 2
    assert "--path" in done.stderr
    assert str(target) in done.stderr
    assert done.stdout == ""
    place.assert_empty()


@pytest.mark.parametrize("moment", ["", "2 workers:", "1 process:"], ids=["start", "mesh", "alone"])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_leaves_nothing(place: Place, moment: str, signum: signal.Signals) -> None:
    # so many that it is not at its end before the signal comes, though this process stands still for some seconds
    limit = "1000" if moment == "1 process:" else "1700"
    with place.start("--workers", "2", "--limit", limit) as process:
        read_until(process, moment)
        os.kill(process.pid, signum)
        out, err = process.communicate(timeout=90)
    assert process.returncode == 128 + signum
    assert out == ""
    assert "Traceback" not in err
    assert err.endswith(f"stopped by {signum.name}; nothing is left behind\n")
    place.assert_empty()


@pytest.mark.slow
def test_killed_it_takes_its_processes_along(place: Place) -> None:
    with place.start("--workers", "2") as process:
        read_until(process, "2 workers:")
        process.kill()
        process.communicate(timeout=90)
    wait_until(lambda: not place.processes(), what="all processes of the demo have ended")


def test_ctrl_c_at_a_terminal_with_a_live_bar(place: Place) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        place.command("--workers", "2", program=DEMO_ON_A_TERMINAL),
        env=place.environ | {"TERM": "xterm", "COLUMNS": "100"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    with process:
        while b"/s" not in shown:
            shown += read_some(ours)
        os.write(ours, b"\x03")
        shown += rest_of(ours)
    os.close(ours)
    assert process.returncode == 130
    assert b"stopped by SIGINT" in shown
    assert b"Traceback" not in shown
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")  # the cursor is back
    place.assert_empty()


def read_some(terminal: int) -> bytes:
    readable, _, _ = select.select([terminal], [], [], 60)
    assert readable, "the demo has said nothing for a minute"
    return os.read(terminal, 4096)


def rest_of(terminal: int) -> bytes:
    read = b""
    while True:
        try:
            block = read_some(terminal)
        except OSError:  # Linux's word for the end of a terminal
            return read
        if not block:
            return read
        read += block


def test_help_lists_options_and_exit_codes(place: Place) -> None:
    done = place.run("--help")
    assert done.returncode == 0
    for word in ("--path", "--workers", "--limit", "--json", "Exit codes", "130"):
        assert word in done.stdout
