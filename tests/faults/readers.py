"""Two who read results and know nothing of each other: this process, and one that is a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from taskmesh import AsyncResult, TaskMesh
from tests.faults.ledger import Seen

ROOT = Path(__file__).parents[2]
#: A machine that has far too much to do may take as long as that to read thousands.
PATIENCE_S = 120.0


def see(mesh: TaskMesh, ids: Iterable[str]) -> dict[str, Seen]:
    """Return what handles that are made by id see now; what is not known is left out.

    They look together: one by one, a round trip each, would take most of the time of the tests.
    """
    handles = [mesh.result(task_id) for task_id in ids]
    mesh.portal.inbox.look(handles, PATIENCE_S)
    return {handle.id: seen for handle in handles if (seen := _seen(handle)) is not None}


def _seen(handle: AsyncResult[Any]) -> Seen | None:
    """Return what a handle knows that has looked; it asks nobody."""
    if handle.outcome is not None:
        return outcome_of(handle.outcome.state, handle.conclude(propagate=False))
    if handle.missing and not handle.expired:
        return None
    return Seen(str(handle.last_state), "its outcome is gone" if handle.expired else "")


def outcome_of(state: str, got: Any) -> Seen:
    """Return a final state with its value or error as text."""
    return Seen(state, str(got))


class OwnReader:
    """Reads in the process that sends, by a mesh object of its own: it is told of nothing, and remembers nothing."""

    def __init__(self, mesh: str, settings: dict[str, Any]) -> None:
        self.mesh = TaskMesh(mesh, **settings)

    def read(self, ids: Iterable[str]) -> dict[str, Seen]:
        """Look at each; what is not known is left out."""
        return see(self.mesh, ids)

    def close(self) -> None:
        self.mesh.close()


class OtherReader:
    """A process that reads when it is asked to."""

    def __init__(self, mesh: str, settings: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.readers", json.dumps([mesh, settings])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={key: value for key, value in os.environ.items() if not key.startswith("TASKMESH_")},
        )

    def read(self, ids: Iterable[str]) -> dict[str, Seen]:
        """As `OwnReader.read`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(list(ids)) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the reading process ended with {self._process.wait(90)}"
        return {task_id: Seen(state, what) for task_id, (state, what) in json.loads(line).items()}

    def close(self) -> None:
        """End it; it ends by itself when nobody asks any more."""
        self._process.communicate(timeout=90)


def main(words: list[str]) -> int:
    """Answer each line of ids with what is seen of them."""
    name, settings = json.loads(words[0])
    reader = OwnReader(name, settings)
    for line in sys.stdin:
        seen = reader.read(json.loads(line))
        print(json.dumps({task_id: [found.state, found.what] for task_id, found in seen.items()}), flush=True)
    reader.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
