"""Send functions by value: lambdas, closures, what was defined a moment ago. Nothing is registered.

Run it: python examples/02_any_callable.py
"""

from taskmesh import TaskMesh

mesh = TaskMesh("callables", embedded="private")


def scaled(factor: int):
    return lambda value: value * factor


if __name__ == "__main__":
    with mesh.workers(2):
        print(mesh.submit(lambda x: x + 1, 41).get(timeout=60))
        print(mesh.submit(scaled(3), 5).get(timeout=60))

        # and as a concurrent.futures.Executor
        with mesh.executor() as executor:
            print(sum(executor.map(scaled(2), range(100), chunksize=10)))
    mesh.close()
