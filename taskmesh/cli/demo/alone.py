"""The same work in one process, for comparison.

A fresh process runs it, not this one: here a listener thread and the results of the first run would slow it
down, which would flatter the mesh. It reads the paths on its standard input and answers in lines on its
standard output: from time to time the number of files done, and at the end a JSON object. When its reader
dies, it ends at its next line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from taskmesh.cli.demo.analysis import analyse_source
from taskmesh.cli.demo.tally import Tally, Totals
from taskmesh.errors import InvariantBroken, TaskMeshError

_REPORT_INTERVAL_S = 0.1

# `-P` and this line instead of `-m`: neither the folder where the user stands (it may hold an `ast.py`) nor
# the way in which taskmesh was made importable may change what the child imports.
_CHILD = (
    "import json, sys; sys.path += [p for p in json.loads(sys.argv[1]) if p not in sys.path]; "
    "from taskmesh.cli.demo.alone import main; main()"
)


class AloneFailed(TaskMeshError):
    """The single process ended without an answer."""


@dataclass(frozen=True, slots=True)
class Alone:
    """What one process achieved: wall time of the work alone, without the start of Python, and the totals."""

    seconds: float
    totals: Totals


def run_alone(
    paths: Sequence[str],
    on_progress: Callable[[int], None],
    interruptible: Callable[[], AbstractContextManager[None]],
) -> Alone:
    """Analyse `paths` in one fresh process.

    Args:
        paths: The files.
        on_progress: Called with the number of files done so far.
        interruptible: Makes the block in which a signal may raise; the child starts and ends outside of it.

    Raises:
        AloneFailed: It ended early; the text says how.
    """
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", _CHILD, json.dumps(sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,  # Ctrl-C at the terminal is for us; we then end the child
    )
    with child:
        try:
            with interruptible():
                answer = _converse(child, paths, on_progress)
        finally:
            child.kill()
    if answer is None:
        raise AloneFailed(f"the process for the comparison ended early, with status {child.returncode}")
    return answer


def _converse(
    child: subprocess.Popen[str], paths: Sequence[str], on_progress: Callable[[int], None]
) -> Alone | None:
    question, answers = child.stdin, child.stdout
    if question is None or answers is None:
        raise InvariantBroken("the process for the comparison was started without pipes")
    try:
        with question:
            json.dump(paths, question)
    except BrokenPipeError:
        return None
    for line in answers:
        answer = json.loads(line)
        if isinstance(answer, dict):
            on_progress(len(paths))
            return Alone(answer["seconds"], Totals(**answer["totals"]))
        on_progress(answer)
    return None


def main() -> None:
    """Be the single process."""
    question = sys.stdin.read()
    if not question:
        return  # the asker died before it asked
    try:
        alone = analyse_all(json.loads(question), _say)
        _say({"seconds": alone.seconds, "totals": alone.totals.as_dict()})
    except BrokenPipeError:
        # The reader is gone; what is still buffered must not fail again when Python flushes it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def analyse_all(paths: Sequence[str], say: Callable[[int], None]) -> Alone:
    """Analyse one file after the other, with the same code that the tasks run."""
    tally = Tally()
    start = reported = time.perf_counter()
    for done, path in enumerate(paths, 1):
        try:
            tally.add(path, analyse_source(Path(path).read_bytes(), path))
        except Exception as error:  # noqa: BLE001 - as at a worker's edge: what a file raises is the file's
            tally.fail(path, error)
        now = time.perf_counter()
        if now - reported > _REPORT_INTERVAL_S:
            reported = now
            say(done)
    return Alone(time.perf_counter() - start, tally.totals)


def _say(answer: object) -> None:
    print(json.dumps(answer), flush=True)
