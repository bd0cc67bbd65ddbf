"""A shell of a user of his own: an empty folder, an empty HOME, a state folder, and `taskmesh`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import wait_until

TASKMESH = [sys.executable, "-m", "taskmesh"]
TIMEOUT_S = 180.0

APP = """
    import os
    import time
    from taskmesh import TaskMesh, current_task

    mesh = TaskMesh("shop")

    @mesh.task
    def add(x, y):
        return x + y

    @mesh.task
    def fail(text):
        raise ValueError(text)

    @mesh.task
    def die():
        os._exit(9)

    @mesh.task
    def copy(until):
        current_task().update_state("COPYING", {"to": until, "raw": b"x"})
        current_task().report_progress(3, 8, "c.txt")
        while not os.path.exists(until):
            time.sleep(0.01)

    @mesh.task(max_retries=1, default_retry_delay=600, autoretry_for=(OSError,))
    def reach(host):
        raise OSError(f"no way to {host}")

    @mesh.task
    def unsayable():
        return {1, 2}
"""


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return what it printed, read as JSON."""
        return json.loads(self.out)


class Started:
    """A command that runs; what it says goes to files."""

    def __init__(self, process: subprocess.Popen[str], out: Path, err: Path) -> None:
        self.process = process
        self.pid = process.pid
        self._out, self._err = out, err

    def said(self, text: str) -> bool:
        """Tell whether it has said something; fail if it has ended without."""
        found = text in self._err.read_text() or text in self._out.read_text()
        assert found or self.process.poll() is None, f"ended:\n{self._err.read_text()}"
        return found

    def until(self, text: str) -> Started:
        """Wait until it says something."""
        wait_until(lambda: self.said(text), TIMEOUT_S, f"{text!r}")
        return self

    def ends(self, signum: int | None = None) -> Done:
        """Send a signal, if one is given, and wait for the end."""
        if signum is not None:
            self.process.send_signal(signum)
        code = self.process.wait(TIMEOUT_S)
        return Done(code, self._out.read_text(), self._err.read_text())


class Shell:
    """The shell. Everything that it started is ended by `close`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "here"
        self._count = 0
        self._started: list[Started] = []
        for name in ("here", "home"):
            (root / name).mkdir()
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("TASKMESH_", "XDG_"))
        }
        self.environ = {
            **kept,
            "HOME": str(root / "home"),
            "TASKMESH_STATE_DIR": str(root / "state"),
            # the package under test, wherever these tests are run from; not the current folder of the tests
            "PYTHONPATH": str(Path(__file__).parents[3]),
        }

    def write(self, name: str, text: str = APP) -> Path:
        """Write a file in the current folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def run(self, *words: str, code: int | None = 0, stdin: str = "", **environ: str) -> Done:
        """Run a command to its end, and check its exit code unless that is None."""
        done = subprocess.run(
            [*TASKMESH, *words],
            cwd=self.folder,
            env=self.environ | environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert code is None or done.returncode == code, (
            f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str, **environ: str) -> Started:
        """Start a command."""
        self._count += 1
        out, err = (self.root / f"{self._count}.{name}" for name in ("out", "err"))
        with out.open("w") as out_file, err.open("w") as err_file:
            process = subprocess.Popen(
                [*TASKMESH, *words],
                cwd=self.folder,
                env=self.environ | environ,
                stdin=subprocess.DEVNULL,
                stdout=out_file,
                stderr=err_file,
                text=True,
            )
        started = Started(process, out, err)
        self._started.append(started)
        return started

    def worker(self, *words: str, **environ: str) -> Started:
        """Start a worker, and wait until it serves."""
        return self.start("worker", *words, **environ).until("taskmesh.worker: worker ")

    def close(self) -> None:
        """End what was started."""
        for started in self._started:
            if started.process.poll() is None:
                started.process.send_signal(signal.SIGTERM)
        for started in self._started:
            started.process.wait(TIMEOUT_S)
        if any((self.root / "state").glob("**/*")):  # else no node was ever started
            self.run("down", "--all")
