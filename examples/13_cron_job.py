"""Cron jobs that nobody has to watch: any worker may fire them, and another one does when it is gone.

Run it: python examples/13_cron_job.py
"""

import tempfile
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from taskmesh import TaskMesh, crontab, current_task, every

mesh = TaskMesh("cron", embedded="private")


@mesh.task
def note(path: str) -> None:
    with Path(path).open("a") as book:
        book.write(f"{current_task().id}\n")


@mesh.task
def report() -> str:
    return "a report"


def wait_for(book: Path, count: int) -> list[str]:
    """Wait until so many runs are noted."""
    while len(ids := book.read_text().split()) < count:
        time.sleep(0.05)
    return ids


if __name__ == "__main__":
    with tempfile.NamedTemporaryFile() as file:
        book = Path(file.name)
        # one after the other, as they were due, whichever child of whichever worker runs them
        in_order = note.s(file.name).set(sequence_key="book")
        mesh.schedule("pulse", every("500ms"), in_order, misfire="all")
        mesh.schedule("nightly", crontab("0 3 * * mon-fri", tz="Europe/Paris"), report.s().set(expires="1h"))
        with mesh.workers(1, name="second"):
            with mesh.workers(1, name="first"):
                before = len(wait_for(book, 3))
            # the first has stopped; had it been the leader, the second is by now
            ids = wait_for(book, before + 3)
    moments = sorted(datetime.fromisoformat(task_id.partition("@")[2]) for task_id in ids)
    gaps = {(later - earlier).total_seconds() for earlier, later in pairwise(moments)}
    print(f"{len(ids) >= 6}: each moment once, every {gaps} s")
    coming = mesh.schedules.get("nightly").coming(3)
    print("the nightly job runs at", {f"{moment:%H:%M}" for moment in coming}, "in", coming[0].tzinfo)
    mesh.close()
