"""A producer as a process of its own, so that it can be stopped and killed in the middle of a send."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.faults.ledger import Ledger
from tests.faults.load import Load
from tests.faults.scene import ROOT, Scene
from tests.support import wait_until


class Producer:
    """The process and what it has said; a context manager that ends it."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        """Start it.

        Args:
            scene: Whose mesh.
            folder: Where its tasks keep their book.
        """
        self._said = scene.folder / f"producer-{os.urandom(4).hex()}"
        settings = json.dumps(scene.caller_settings())
        with self._said.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.apps.producer", scene.name, settings, str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                cwd=ROOT,
            )

    def said(self) -> list[tuple[str, str]]:
        """Return what it has said so far, in order: what, and of which id."""
        lines = self._said.read_text().split("\n")[:-1]
        return [(line.split()[0], line.split()[1]) for line in lines]

    def says_more(self, count: int) -> None:
        """Wait until it has said so much more."""
        goal = len(self.said()) + count
        wait_until(lambda: len(self.said()) >= goal, what=f"the producer says {goal} things")

    def is_sending(self) -> str:
        """Wait until it is in the middle of a send that does not come to its end, and return the id."""
        process = psutil.Process(self._process.pid)
        seen: list[tuple[str, ...]] = []

        def waits_for_an_answer() -> bool:
            # it says so before it sends: it has sent when it sleeps, and says nothing more
            said = self.said()
            seen.append(tuple(said[-1]) if said and process.status() == psutil.STATUS_SLEEPING else ())
            return bool(seen[-1]) and seen[-1][0] == "tries" and seen[-20:] == [seen[-1]] * 20

        wait_until(waits_for_an_answer, what="it waits for an answer")
        return seen[-1][1]

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> None:
        """Kill it, and wait for that."""
        self._process.kill()
        self._process.wait(90)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def enter(self, ledger: Ledger) -> None:
        """Enter what it has said; what it only tried may be recorded."""
        told = {task_id: what for what, task_id in self.said()}
        ledger.accepted |= {task_id: "ok" for task_id, what in told.items() if what == "accepted"}
        ledger.unknown |= {task_id: "ok" for task_id, what in told.items() if what in ("tries", "unknown")}
        ledger.rejected |= {task_id for task_id, what in told.items() if what == "rejected"}


def send_again(load: Load) -> int:
    """Send again, under the same id, all that may be recorded; return how many those were."""
    unknown = list(load.ledger.unknown)
    for task_id in unknown:
        load.send(task_id=task_id)
    return len(unknown)
