"""Runs measuring processes one after the other, at quiet moments."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.harness import machine, stamps
from benchmarks.harness.processes import reap_orphans

#: A measurement that others disturbed is taken once more.
ATTEMPTS = 2


@contextmanager
def scratch() -> Iterator[tuple[Path, Path]]:
    """Give a measurement a folder, in memory where the system has such a place, and in it a file for the stamps."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=shared if shared.is_dir() else None) as name:
        stamps_file = Path(name) / "stamps"
        stamps_file.touch()
        yield Path(name), stamps_file


def clean_environ(**more: str) -> dict[str, str]:
    """Return the environment of a measuring process: no setting of the caller's may change the figures."""
    aside = ("TASKMESH_", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONDEVMODE", "PYTHONWARNINGS")
    return {name: value for name, value in os.environ.items() if not name.startswith(aside)} | more


def run_process(
    command: Sequence[str], *, cwd: Path, environ: Mapping[str, str], log: Path, timeout_s: float
) -> dict[str, Any]:
    """Run a measuring process, and return the JSON on its last line, or `{"error": ...}`."""
    with log.open("ab") as errors:
        process = subprocess.Popen(
            command, cwd=cwd, env=environ, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            said, _ = process.communicate(timeout=timeout_s)
            found: dict[str, Any] = json.loads(said.splitlines()[-1])
        except (subprocess.TimeoutExpired, IndexError, ValueError) as error:
            return {"error": f"{type(error).__name__}; the last words of its log: {_tail(log)}"}
        finally:
            _end(process)
            reap_orphans()
    return found


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _tail(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    # the file of figures is for everybody: without the paths of this machine
    text = " | ".join(lines[-3:])[-400:]
    return text.replace(f"{Path.cwd()}/", "").replace(f"{Path.home()}/", "~/")


def at_a_quiet_moment(measure: Callable[[], dict[str, Any]], patience_s: float) -> dict[str, Any]:
    """Measure when others are quiet; once more if they were not after all. The quieter attempt counts.

    Returns:
        What `measure` returned, with `foreign`: how many cores were busy with other things meanwhile.
    """
    attempts: list[dict[str, Any]] = []
    for _ in range(ATTEMPTS if patience_s > 0 else 1):
        if patience_s > 0:
            machine.wait_until_quiet(patience_s)
        watch = machine.Watch()
        found = measure()
        attempts.append({**found, "foreign": round(watch.foreign(), 2)})
        if attempts[-1]["foreign"] < machine.NOISY_CORES and "error" not in found:
            break
    return min(attempts, key=lambda found: ("error" in found, found["foreign"]))


def stamps_environ(path: Path) -> dict[str, str]:
    """Return the variable that tells where stamps go."""
    return {stamps.VARIABLE: str(path)}
