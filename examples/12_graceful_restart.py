"""Replace a worker while work goes on: what runs finishes, what waits is taken by the next one, nothing is lost.

Run it: python examples/12_graceful_restart.py
"""

import time

from taskmesh import TaskMesh, current_task

mesh = TaskMesh("restart", embedded="private")


@mesh.task
def work(number: int) -> tuple[int, str]:
    time.sleep(0.1)
    return number, current_task().worker


if __name__ == "__main__":
    results = work.map(range(100))
    with mesh.workers(2, name="old release"):
        next(results.as_completed(timeout=60))  # it has begun
    # leaving the block is what SIGTERM is to `taskmesh worker`: claim no more, finish what runs, give back the rest
    left = len(results) - results.completed_count()
    with mesh.workers(2, name="new release"):
        values = results.get(timeout=60)
    by = [worker for _, worker in values]
    print(f"{len(values)} done, {len(set(by))} workers, none twice: {len({n for n, _ in values}) == 100}")
    print("the rest went to the new release:", by.count("new release") == left)
    mesh.close()
