"""A script that sends its own tasks: `python tests/apps/main_script.py`, which workers import as `main_script`.

It prints what it finds; a test reads that.
"""

from __future__ import annotations

import multiprocessing
import sys
from dataclasses import dataclass
from enum import Enum

from taskmesh import TaskMesh
from taskmesh.worker import launch

print("run as", __name__)

mesh = TaskMesh("main-script", embedded="private")


class Mine(Exception):
    """An error of the script's own."""


@dataclass
class Point:
    """A value of the script's own."""

    x: int
    y: int


@mesh.task
def fail() -> None:
    """Raise an error of the script's own."""
    raise Mine("from a worker")


class Color(Enum):
    """Constants of the script's own."""

    RED = 1
    BLUE = 2


@mesh.task
def move(point: Point, by: int, color: Color = Color.BLUE) -> Point:
    """Take values of the script's own, and return another."""
    if not isinstance(point, Point) or color is not Color.BLUE:
        raise TypeError(f"{point} is of another class than the worker's, or {color} is")
    return Point(point.x + by, point.y)


@mesh.task
def make(x: int) -> Point:
    """Return a value of the script's own."""
    return Point(x, 0)


def use(where: str) -> None:
    """Send, and say what came."""
    try:
        fail.delay().get(timeout=90)
    except Mine as error:
        print(where, "error", error, type(error) is Mine)
    print(where, "move", move.delay(Point(1, 2), 3, Color.BLUE).get(timeout=90) == Point(4, 2))
    print(
        where, "map", move.starmap([(Point(n, 2), 1, Color.BLUE) for n in range(3)]).get(90)[2] == Point(3, 2)
    )
    print(where, "make", make.delay(7).get(timeout=90) == Point(7, 0))
    print(where, "name", fail.name, "by value" if fail.by_value else "by name")
    with mesh.executor() as executor:
        print(where, "executor", executor.submit(make, 1).result(90) == Point(1, 0))


def main() -> None:
    """Send from here, and from a process that multiprocessing makes."""
    launch.START_TIMEOUT_S = 180.0  # a busy machine takes as long as that
    with mesh.workers(1):
        use("here")
        for method in sys.argv[1:]:
            child = multiprocessing.get_context(method).Process(target=use, args=(method,))
            child.start()
            child.join(240)
            print(method, "exit code", child.exitcode)
    mesh.close()


if __name__ == "__main__":
    main()
