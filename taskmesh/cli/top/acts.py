"""What `taskmesh top` can do to a mesh, in a thread, one thing at a time: what it says is shown when it is done."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskmesh.cli.dead import send_again, story_of_letter
from taskmesh.cli.dead_story import Story, story_of
from taskmesh.cli.failure import Failure
from taskmesh.errors import TaskMeshError
from taskmesh.queue.dead import dead_letters

if TYPE_CHECKING:
    from taskmesh.app import TaskMesh

#: Dead letters of all queues that are looked through for those of one.
LETTERS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter in a list.

    Attributes:
        id: Of the message.
        died_ms: When.
        task: Its name, where that is certain.
        crashes: How often its process died.
        reason: Why it was given up.
    """

    id: str
    died_ms: int
    task: str
    crashes: int
    reason: str


class Acts:
    """Does one thing after the other."""

    def __init__(self, mesh: TaskMesh, changed: Callable[[], None]) -> None:
        """Prepare.

        Args:
            mesh: Which.
            changed: Called when something is done, by the thread that did it.
        """
        self._mesh = mesh
        self._changed = changed
        self._wanted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def start(self) -> None:
        """Begin; the thread ends with the process."""
        threading.Thread(target=self._run, name="taskmesh-top-acts", daemon=True).start()

    def have(self, act: Callable[[TaskMesh], str], then: Callable[[str], None]) -> None:
        """Have something done.

        Args:
            act: Does it, and returns what to say of it.
            then: Is given that, or why it failed.
        """

        def done() -> None:
            try:
                said = act(self._mesh)
            except TaskMeshError as error:
                said = f"failed: {error}"
            except Failure as failure:
                said = f"failed: {failure.message}"
            except Exception as error:  # noqa: BLE001 - the edge of the thread: without it no act would follow
                said = f"failed: {type(error).__name__}: {error}"
            then(said)
            self._changed()

        self._wanted.put(done)

    def _run(self) -> None:
        while True:
            self._wanted.get()()


def set_paused(mesh: TaskMesh, name: str, *, paused: bool) -> str:
    """Pause a queue, or let it go on."""
    if paused:
        mesh.pause_queue(name)
        return f"queue {name} is paused; p lets it go on"
    mesh.resume_queue(name)
    return f"queue {name} goes on"


def letters_of(mesh: TaskMesh, name: str) -> tuple[list[Letter], int]:
    """Return the dead letters of a queue, the newest first, and how many older ones of the mesh were not looked at."""
    total, found = mesh.link.run(dead_letters(mesh.link.session, LETTERS_MAX))
    stories = [
        (letter.died_ms, story_of(mesh, letter.task_id, letter.record))
        for letter in found
        if letter.record is not None and letter.record.queue == name
    ]
    letters = [
        Letter(story.id, died_ms, story.task, story.record.crashes, story.reason)
        for died_ms, story in stories
    ]
    return letters, max(0, total - len(found))


def read_letter(mesh: TaskMesh, task_id: str) -> Story:
    """Return the story of a dead letter."""
    return story_of_letter(mesh, task_id)


def resend(mesh: TaskMesh, task_id: str) -> str:
    """Send a dead letter again, as `taskmesh dead retry` does."""
    return f"sent again as {send_again(mesh, task_id)}"
