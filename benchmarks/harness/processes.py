"""Starting, watching and ending processes, by way of /proc (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
MIB = 1 << 20
#: How long processes have to end by themselves.
GRACE_S = 4.0

_PR_SET_CHILD_SUBREAPER = 36


def _stat(pid: int) -> list[str] | None:
    """Return the words of /proc/<pid>/stat from the state on; the name before it may hold spaces."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def session_pids(session: int) -> list[int]:
    """Return all live processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            words = _stat(int(entry.name))
            if words and int(words[3]) == session and words[0] not in "ZX":
                found.append(int(entry.name))
    return sorted(found)


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process and of the children that it has reaped."""
    words = _stat(pid)
    return sum(map(int, words[11:15])) * TICK_S if words else 0.0


def memory(pid: int) -> dict[str, float]:
    """Return `rss`, `pss` (shared pages divided among their users) and `uss` (its own alone), in bytes."""
    sizes: dict[str, float] = {"rss": 0, "pss": 0, "uss": 0}
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return sizes
    for line in text.splitlines()[1:]:
        name, value = line.split()[:2]
        if name in ("Rss:", "Pss:"):
            sizes[name[:3].lower()] += int(value) * 1024
        elif name in ("Private_Clean:", "Private_Dirty:"):
            sizes["uss"] += int(value) * 1024
    return sizes


def adopt_orphans() -> None:
    """Become the parent of descendants whose parent ends first, so that their CPU time counts as ours."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans(patience_s: float = 2.0) -> None:
    """Wait for adopted processes, which are about to end."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.02)
        except ChildProcessError:
            return


def send(pid: int, number: int) -> None:
    """Send a signal to a process of ours, which may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


class Workers:
    """Running worker commands, each in a session of its own.

    Attributes:
        started: When the first was started, on the monotonic clock.
    """

    def __init__(
        self,
        commands: Sequence[Sequence[str]],
        *,
        cwd: Path,
        log: Path,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Start the commands; what they say goes to the log."""
        self._log = log.open("ab")
        self.started = time.monotonic()
        self._processes = [
            subprocess.Popen(
                command,
                cwd=cwd,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                start_new_session=True,
            )
            for command in commands
        ]

    def pids(self) -> list[int]:
        """Return every process of every command."""
        return [pid for process in self._processes for pid in session_pids(process.pid)]

    def alive(self) -> bool:
        """Whether all commands still run."""
        return all(process.poll() is None for process in self._processes)

    def cpu_seconds(self) -> float:
        """Return the CPU time of all processes."""
        return sum(map(cpu_seconds, self.pids()))

    def memory(self) -> list[dict[str, float]]:
        """Return the sizes of each process."""
        return [memory(pid) for pid in self.pids()]

    def kill(self) -> None:
        """End all processes at once, as the death of their machine would."""
        for process in self._processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def stop(self) -> None:
        """End the commands politely, then whatever is left of their sessions."""
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + GRACE_S
        while any(process.poll() is None for process in self._processes) and time.monotonic() < deadline:
            time.sleep(0.02)
        # some peers leave processes behind that no signal has reached
        for number, patience_s in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 2.0)):
            deadline = time.monotonic() + patience_s
            for pid in self.pids():
                send(pid, number)
            while self.pids() and time.monotonic() < deadline:
                time.sleep(0.02)
        for process in self._processes:
            process.wait()
        reap_orphans()
        self._log.close()
