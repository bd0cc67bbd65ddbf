"""One virtual environment per peer, with pinned versions: they disagree about the client library for Redis."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from benchmarks.rows.model import ROOT

FOLDER = ROOT / ".venv-bench"
REQUIREMENTS = Path(__file__).parent / "requirements"
#: TaskMesh is measured where the run itself lives.
OWN = "taskmesh"

_READY = ".ready"


class CannotInstall(Exception):
    """The environment of a peer could not be made."""


def python_of(peer: str) -> Path:
    """Return the interpreter of a peer's environment."""
    return Path(sys.executable) if peer == OWN else FOLDER / peer / "bin" / "python"


def prepare(peer: str) -> None:
    """Make the environment of a peer, or bring it up to date with the pinned versions.

    Raises:
        CannotInstall: The message holds what pip said last.
    """
    if peer == OWN:
        return
    pins = REQUIREMENTS / f"{peer}.txt"
    ready = FOLDER / peer / _READY
    digest = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()
    if ready.is_file() and ready.read_text() == digest:
        return
    print(f"installing {peer} into {FOLDER.name}/{peer}", file=sys.stderr, flush=True)
    pip = [
        str(python_of(peer)),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
        str(pins),
    ]
    for words in ([sys.executable, "-m", "venv", "--clear", str(FOLDER / peer)], pip):
        done = subprocess.run(words, check=False, capture_output=True, text=True)
        if done.returncode:
            last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
            raise CannotInstall(f"{peer} cannot be installed here: {' '.join(last)[:200]}")
    ready.write_text(digest)


def versions(peer: str) -> dict[str, str]:
    """Return the pinned versions of a peer and of what its speed depends on."""
    if peer == OWN:
        from benchmarks import report

        return report.versions()
    pins = (REQUIREMENTS / f"{peer}.txt").read_text().split()
    found = dict(pin.split("==", 1) for pin in pins)
    return {name: found[name] for name in found if name in (peer, "taskiq-redis", "redis", "hiredis")}
