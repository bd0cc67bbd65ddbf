"""Collect results as they complete, and show how far it is.

Run it: python examples/03_progress.py
"""

import hashlib

from taskmesh import TaskMesh

mesh = TaskMesh("progress", embedded="private")


@mesh.task
def digest(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


if __name__ == "__main__":
    with mesh.workers(2):
        results = digest.map(range(500))
        for done, result in enumerate(results.as_completed(timeout=60), 1):
            if done % 100 == 0:
                print(f"{done} of {len(results)}, the last one {result.get()[:8]}")
    mesh.close()
