"""Decorate, send, run, collect, in one program that starts its own workers.

Run it: python examples/01_first_task.py
"""

from taskmesh import TaskMesh, current_task

# Its own node, gone at exit. Leave `embedded=` out to use this account's node, shared with other processes.
mesh = TaskMesh("first", embedded="private")


@mesh.task
def add(x: int, y: int) -> int:
    return x + y


@mesh.task(queue="reports")
def report(name: str) -> str:
    task = current_task()
    return f"report {name}, attempt {task.attempt}, asked for by {task.headers['user']}"


@mesh.task
def divide(x: float, y: float) -> float:
    return x / y


if __name__ == "__main__":
    with mesh.workers(2, queues=("default", "reports")):
        print(add.delay(1, 2).get(timeout=60))

        handle = report.apply_async(("sales",), headers={"user": "ada"})
        print(handle.get(timeout=60))

        results = add.starmap([(i, i) for i in range(1000)])
        print(sum(results.get(timeout=60)))

        try:
            divide.delay(1, 0).get(timeout=60)
        except ZeroDivisionError as error:  # the task's own exception, with the worker's traceback as a note
            print(f"failed as it should: {error}")
    mesh.close()
